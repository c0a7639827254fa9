import { types } from 'node:util'
import { checkOptional, checkOptions, optionInvalid, wholeNumber } from '../../core/checks.ts'
import type { Clock } from '../../core/clock.ts'
import { type ApiCode, RinghookError } from '../../core/errors.ts'
import type { Receiver } from '../../core/receiver.ts'
import { checkTenant } from '../../core/tenant.ts'
import { checkId } from '../client-options.ts'
import type { KrosaiDeliverySummary } from './deliveries.ts'
import type { KrosaiApi } from './krosai-api.ts'
import { Reconciliation } from './reconciliation.ts'

/** What {@link reconcile} takes beside the receiver and the API. */
export interface ReconcileOptions {
  /** The webhook whose deliveries are looked at, as `ensureWebhook` gives its `id`. */
  readonly webhookId: string
  /** Events that are older are left alone. Not before `retentionMs` ago: the receiver refuses those. */
  readonly since: Date
  /** How many calls of the API are made in a second. Default: 5. From 1 to 100. */
  readonly callsPerSecond?: number
  /** Whose events they are, if the receiver's `secret` function names tenants. Default: none. */
  readonly tenant?: string
  /** At most so many deliveries are asked for again. Default: 1 000. From 1 to 100 000. */
  readonly maxRetries?: number
  /** Handed on to `deliveries.list`, for whoever knows the values. Default: deliveries of every status. */
  readonly status?: string
  /** Called with what became of each delivery that KrosAI did not deliver. */
  readonly onDelivery?: (delivery: ReconciledDelivery) => void
  /** Ends it early: it rejects with the signal's `reason`. */
  readonly signal?: AbortSignal
  /** For tests: `manualClock()` of `ringhook/testing`. Default: the machine's clock. */
  readonly clock?: Clock
}

/** What became of one delivery that KrosAI did not deliver. */
export interface ReconciledDelivery {
  /** KrosAI's id of the delivery. */
  readonly id: string
  /** The event's id and name, where the delivery shows its payload. */
  readonly eventId: string | undefined
  readonly event: string | undefined
  /**
   * - `retried`: KrosAI was asked to send it again. What comes of that, `onOutcome` says.
   * - `completed`, `in_flight`: the receiver has finished the event, or it runs.
   * - `repeated`: another delivery of the same event was asked for.
   * - `too_old`: the event is older than `since`.
   * - `failed`: the API failed or refused; `code` says how. Another run tries again.
   */
  readonly result: 'retried' | 'completed' | 'in_flight' | 'repeated' | 'too_old' | 'failed'
  /** Why the API did not do it. */
  readonly code: ApiCode | undefined
}

/** What {@link reconcile} found and did. */
export interface ReconcileReport {
  /** How many deliveries the API listed, and how many of them as delivered or still to be tried. */
  readonly listed: number
  readonly delivered: number
  readonly pending: number
  /** How many of the others came to what. */
  readonly retried: number
  readonly completed: number
  readonly inFlight: number
  readonly repeated: number
  readonly tooOld: number
  readonly failed: number
  /** Values of `status` other than `delivered`, `pending` and `failed`. They count as not delivered. */
  readonly unknownStatuses: readonly string[]
  /** The API's own count, where it gives one. */
  readonly summary: KrosaiDeliverySummary | undefined
  /** `false`: there may be more, for another run. */
  readonly isComplete: boolean
}

const optionNames = [
  'webhookId',
  'since',
  'callsPerSecond',
  'maxRetries',
  'tenant',
  'status',
  'onDelivery',
  'signal',
  'clock',
]

/**
 * Heals a receiver after an outage: asks KrosAI for everything that it could not deliver, and that
 * the receiver has not finished. For every start, when the server listens: what comes twice is a
 * duplicate. The oldest events are asked for first.
 *
 * A delivery counts as not delivered unless its status is `delivered` or `pending`: the values are
 * not documented, and an event too many is a duplicate, while one too few is lost. Its event is
 * looked for in `payload`, the field that the page names without showing it. Where there is none it
 * is asked for without knowing.
 *
 * Use a store that outlives the process: `memoryStore()` knows nothing of what finished before.
 * Source: KrosAI, Webhook deliveries; docs/subscribe.md has what is assumed beyond it.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID; RINGHOOK_RECEIVER_INVALID for a receiver of
 * another provider; RINGHOOK_STORE_UNAVAILABLE; what the list of deliveries failed with, and
 * RINGHOOK_API_UNAUTHORIZED, as an `ApiError`.
 * @example
 * ```ts
 * import type { Receiver } from 'ringhook'
 * import { type KrosaiApi, reconcile } from 'ringhook/krosai-api'
 *
 * export async function heal(receiver: Receiver, api: KrosaiApi, webhookId: string) {
 *   const since = new Date(Date.now() - 24 * 3_600_000)
 *   const { retried, completed, isComplete } = await reconcile(receiver, api, { webhookId, since })
 *   console.log(`${retried} asked for again, ${completed} had finished`, isComplete)
 * }
 * ```
 */
export async function reconcile(
  receiver: Receiver,
  api: Pick<KrosaiApi, 'deliveries'>,
  options: ReconcileOptions,
): Promise<ReconcileReport> {
  checkReceiver(receiver)
  checkReconciliation(options)
  return await new Reconciliation(receiver, api.deliveries, options).run()
}

function checkReceiver(receiver: Receiver): void {
  const isReceiver = typeof receiver?.status === 'function'
  if (isReceiver && receiver.provider?.name === 'krosai') return
  throw new RinghookError(
    'RINGHOOK_RECEIVER_INVALID',
    'reconcile() was given something else than a receiver for KrosAI. Give what createReceiver(krosai, options) returned.',
  )
}

function checkReconciliation(options: ReconcileOptions): void {
  checkOptions('reconcile()', options, optionNames)
  const { webhookId, since, callsPerSecond, maxRetries, onDelivery } = options
  checkId('reconcile({ webhookId })', webhookId)
  if (!types.isDate(since) || Number.isNaN(since.getTime())) {
    throw optionInvalid('since is no date.', 'Give one such as new Date(Date.now() - 86_400_000).')
  }
  checkTenant(options.tenant)
  wholeNumber('callsPerSecond', callsPerSecond, { default: 5, min: 1, max: 100 })
  wholeNumber('maxRetries', maxRetries, { default: 1_000, min: 1, max: 100_000 })
  checkOptional('onDelivery', onDelivery, 'function')
}
