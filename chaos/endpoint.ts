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
 * gate is opened, and then does as the order says. With an inbox there are also `permanent`: it
 * fails for good; `hang`: it asks to be killed after that long, and never ends; `die`: it returns,
 * and its process is killed before the inbox is told.
 */
export type Deed = { readonly act: TimedAct; readonly ms: number } | { readonly act: 'hold' }

const timedActs = ['finish', 'throw', 'block', 'permanent', 'hang', 'die'] as const
type TimedAct = (typeof timedActs)[number]

const deedSchema = z.union([
  z.object({ act: z.enum(timedActs), ms: z.number() }),
  z.object({ act: z.literal('hold') }),
])

/** Delivers events that say what their handlers are to do, attempt by attempt; the last for all further ones. */
export const provider = defineProvider({
  name: 'chaos',
  signature: { header: 'x-chaos-signature', encoding: 'hex' },
  signedTimestamp: false,
  events: { work: { schema: z.object({ deeds: z.array(deedSchema).min(1) }) } },
  read: ({ event, id, data, call }) => ({ event, id, data, callId: call }),
  delivery: { retryDelaysMs: [0] },
})

/** What every worker is told when it is started. */
export interface ProcessSettings {
  readonly worker: string
  readonly slot: number
}

/** What a worker of the stores is told beside that. */
export interface WorkerSettings extends ProcessSettings {
  readonly store: 'redis' | 'postgres' | 'mysql' | 'sqlite'
  /** For the journal: straight to the database. */
  readonly url: string
  /** For the store: through the proxy. */
  readonly storeUrl: string
  readonly name: string
  readonly mutant: Mutant | undefined
}

/** The faults that can be planted into a store. */
export const mutants = ['lease', 'fence', 'release'] as const
export type Mutant = (typeof mutants)[number]

/** What a worker tells: that it has begun, and where it receives deliveries, if it does. */
export interface Ready {
  readonly ready: true
  readonly port?: number
}

/** What a worker asks for: to be killed now, in the middle of what it does. */
export interface Wish {
  readonly wish: 'kill'
}

/** What a worker is told while it runs. */
export type Order =
  | { readonly order: 'open'; readonly event: string; readonly fails: boolean }
  /** From now on every handler finishes, whatever was planned: its bug is mended. */
  | { readonly order: 'mend' }
  | { readonly order: 'close' }
