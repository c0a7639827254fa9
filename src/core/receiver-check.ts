import { RinghookError } from './errors.ts'
import type { Receiver } from './receiver.ts'
import { isFastifyInstance, isFrameworkArgument } from './request/framework-arguments.ts'
import { isThenable } from './thenable.ts'

/**
 * Refuses what isn't a receiver. For the adapters: otherwise the mistake would show at the first
 * delivery.
 *
 * @throws {RinghookError} RINGHOOK_RECEIVER_INVALID
 */
export function checkReceiver(receiver: Receiver): Receiver {
  if (typeof receiver?.receive === 'function') return receiver
  throw new RinghookError(
    'RINGHOOK_RECEIVER_INVALID',
    `webhooks() was given ${mistakenFor(receiver)} Pass the receiver that createReceiver(krosai, options) returned, or use krosaiWebhooks(options).`,
  )
}

const mountedItself = 'was webhooks itself mounted? Mount what it returns.'

function mistakenFor(given: unknown): string {
  if (given === undefined || given === null) return 'nothing.'
  if (typeof given === 'function') return 'a function.'
  if (isThenable(given)) return 'a promise. Await it first.'
  if (isFrameworkArgument(given)) return `a request: ${mountedItself}`
  if (isFastifyInstance(given)) return `a Fastify instance: ${mountedItself}`
  if (typeof given !== 'object') return 'something else than a receiver.'
  if ('canonicalNames' in given && 'name' in given) return `the provider ${given.name} alone.`
  return 'secret' in given || 'on' in given || 'urlToken' in given
    ? 'options.'
    : 'something else than a receiver.'
}
