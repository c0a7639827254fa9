import { defineProvider } from 'ringhook'
import { z } from 'zod'

/** The limits that the workers run under: short, so that a run of seconds sees many leases end. */
export const leaseMs = 600
export const ackDeadlineMs = 1_500
export const retentionMs = 3_600_000

export const secret = 'a secret of the crash proof'
/** Tells deliveries apart that carry the same event. */
export const deliveryHeader = 'x-delivery'

/**
 * What a handler does. `block` keeps the event loop for that long; `hold` waits until the event's
 * gate is opened, and then does as the order says.
 */
export type Deed =
  | { readonly act: 'finish' | 'throw' | 'block'; readonly ms: number }
  | { readonly act: 'hold' }

const deedSchema = z.union([
  z.object({ act: z.enum(['finish', 'throw', 'block']), ms: z.number() }),
  z.object({ act: z.literal('hold') }),
])

/** Delivers events that say what their handlers are to do, attempt by attempt; the last for all further ones. */
export const provider = defineProvider({
  name: 'chaos',
  signature: { header: 'x-chaos-signature', encoding: 'hex' },
  signedTimestamp: false,
  events: { work: { schema: z.object({ deeds: z.array(deedSchema).min(1) }) } },
  delivery: { retryDelaysMs: [0] },
})

/** What a worker is told when it is started. */
export interface WorkerSettings {
  readonly worker: string
  readonly slot: number
  readonly store: 'redis' | 'postgres' | 'mysql' | 'sqlite'
  /** For the journal: straight to the database. */
  readonly url: string
  /** For the store: through the proxy. */
  readonly storeUrl: string
  readonly name: string
  readonly mutant: Mutant | undefined
}

/** The planted faults. */
export const mutants = ['lease', 'fence', 'release'] as const
export type Mutant = (typeof mutants)[number]

/** What a worker tells: that it receives deliveries, at this port. */
export interface Listening {
  readonly port: number
}

/** What a worker is told while it runs. */
export type Order =
  | { readonly order: 'open'; readonly event: string; readonly fails: boolean }
  | { readonly order: 'close' }
