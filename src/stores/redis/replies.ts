import { types } from 'node:util'
import type { RinghookError } from '../../core/errors.ts'
import { storeFailure } from '../../databases/failures.ts'
import type { Claim, Forgotten, KeyStatus } from '../store.ts'

/** The text of a reply: clients can be told to give every text as bytes. */
export function textOf(reply: unknown): string {
  if (typeof reply === 'string') return reply
  if (types.isUint8Array(reply)) return Buffer.from(reply).toString('latin1')
  throw strangeReply()
}

/** `claimed 1`, `in_flight 29000` or `completed`, a space and the fingerprint. */
export function claimOf(reply: string, key: string, owner: string): Claim {
  const space = reply.indexOf(' ')
  const text = reply.slice(space + 1)
  switch (reply.slice(0, space)) {
    case 'claimed': {
      const fence = countOf(text)
      return { state: 'claimed', key, owner, fence, attempt: fence }
    }
    case 'in_flight':
      return { state: 'in_flight', retryAfterMs: countOf(text) }
    case 'completed':
      return { state: 'completed', fingerprint: text }
    default:
      throw strangeReply()
  }
}

export function isYes(reply: string): boolean {
  if (reply === 'yes' || reply === 'no') return reply === 'yes'
  throw strangeReply()
}

export function forgottenOf(reply: string): Forgotten {
  if (reply === 'forgotten' || reply === 'in_flight' || reply === 'unknown') return reply
  throw strangeReply()
}

export function statusOf(reply: string): KeyStatus {
  if (reply === 'completed' || reply === 'in_flight' || reply === 'unknown') return reply
  throw strangeReply()
}

/** What the server said of itself: the name of its eviction policy, and of its replicas. */
export interface ServerSettings {
  readonly policy: string
  readonly replication: string
}

/** `policy`, the name of an eviction policy or `unknown`, and what replicas there are. */
export function settingsOf(reply: string): ServerSettings {
  const [, policy, replication] = /^policy ([\w-]{1,40}) (replicas [\w ]{1,40})$/.exec(reply) ?? []
  if (policy === undefined || replication === undefined) throw strangeReply()
  return { policy, replication }
}

function countOf(text: string): number {
  const count = Number(text)
  if (/^\d{1,16}$/.test(text) && count >= 1) return count
  throw strangeReply()
}

/** A store that does not know what it was answered does not guess. */
function strangeReply(): RinghookError {
  return storeFailure(
    'redisStore',
    'RINGHOOK_STORE_FAILED',
    undefined,
    'was answered with something that its scripts do not say. Either another program wrote the key, or the client changes replies: give it one without type mapping of texts and without reply transformers.',
  )
}
