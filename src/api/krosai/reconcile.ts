import { types } from 'node:util'
import { checkTenant } from '../../core/authentication/tenant.ts'
import { checkOptional, checkOptions, optionInvalid, wholeNumber } from '../../core/checks.ts'
import { RinghookError } from '../../core/errors.ts'
import type { Receiver } from '../../core/receiver.ts'
import { checkId } from '../client-options.ts'
import type { KrosaiApi } from './krosai-api.ts'
import { type ReconcileOptions, type ReconcileReport, Reconciliation } from './reconciliation.ts'

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
 * Heals a receiver after an outage: asks KrosAI to send again everything that it could not deliver
 * and that the receiver has not processed. Call it at every start, once the server listens: an event
 * that arrives twice is a duplicate. The oldest events are requested first.
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
    'reconcile() needs a receiver for KrosAI. Give what createReceiver(krosai, options) returned.',
  )
}

function checkReconciliation(options: ReconcileOptions): void {
  checkOptions('reconcile()', options, optionNames)
  const { webhookId, since, callsPerSecond, maxRetries, onDelivery } = options
  checkId('reconcile({ webhookId })', webhookId)
  if (!types.isDate(since) || Number.isNaN(since.getTime())) {
    throw optionInvalid(
      'since must be a Date.',
      'Give one such as new Date(Date.now() - 86_400_000).',
    )
  }
  checkTenant(options.tenant)
  wholeNumber('callsPerSecond', callsPerSecond, { default: 5, min: 1, max: 100 })
  wholeNumber('maxRetries', maxRetries, { default: 1_000, min: 1, max: 100_000 })
  checkOptional('onDelivery', onDelivery, 'function')
}
