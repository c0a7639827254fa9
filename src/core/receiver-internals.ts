import type { Consumer } from './inbox/dispatcher.ts'
import type { Settings } from './options/settings.ts'

/**
 * Registered, so that another copy of ringhook finds it: a test that is an ES module, and an
 * application in CommonJS. Raise the number when what is behind it changes.
 */
export const internals: unique symbol = Symbol.for('ringhook.receiver.1')

/** What workers and the testing kit have to know about a receiver. */
export interface Internals {
  readonly settings: Settings
  /** Whether a worker in this process runs its deliveries. */
  readonly hasWorker: boolean
  /** Creates what runs its deliveries in a worker. */
  consumer(): Consumer
}

/** Returns what is behind a receiver. `undefined`: this version of ringhook hasn't created it. */
export function internalsOf(receiver: object): Internals | undefined {
  return (receiver as { readonly [internals]?: Internals })[internals]
}

/** Returns what a receiver was created with. For the testing kit, which signs and stamps deliveries. */
export function settingsOf(receiver: object): Settings | undefined {
  return internalsOf(receiver)?.settings
}
