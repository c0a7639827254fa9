import type { Attempt, AttemptResult, Failure } from '../../inboxes/inbox.ts'
import { ownMessageOrPlace } from '../error-text.ts'
import type { Answer } from '../outcome/answers.ts'
import { delayAfter, type RetryPolicy } from './retry.ts'

/** How long a delivery waits for a store that is away. */
const storePauseMs = 5_000

/** What an attempt's answer, which nobody waits for, means for the delivery in the inbox. */
export function attemptResultFor(
  answer: Answer,
  policy: RetryPolicy,
  attempt: Attempt,
  now: number,
): AttemptResult {
  switch (answer.outcome) {
    case 'handled':
    case 'duplicate':
      return { state: 'completed' }
    case 'in_flight':
      return {
        state: 'postponed',
        delayMs: Math.max(0, Math.ceil(answer.retryAfterMs ?? storePauseMs)),
      }
    case 'unavailable':
      // The worker is closing, and another may begin at once; or the handler could not be tried.
      return {
        state: 'postponed',
        delayMs: answer.code === 'RINGHOOK_SHUTTING_DOWN' ? 0 : jittered(),
      }
    case 'failed':
      if (isFinal(answer) || attempt.number >= policy.maxAttempts) break
      return {
        state: 'retry',
        delayMs: delayAfter(policy, attempt.number),
        failure: failureOf(answer, now),
      }
  }
  return { state: 'dead', failure: failureOf(answer, now) }
}

/** Another attempt would fail in the same way. */
function isFinal({ code }: Answer): boolean {
  return (
    code === 'RINGHOOK_PERMANENT_FAILURE' ||
    code === 'RINGHOOK_HANDLER_MISSING' ||
    code === 'RINGHOOK_ATTEMPTS_EXHAUSTED'
  )
}

function jittered(): number {
  return Math.round(storePauseMs * (0.5 + Math.random()))
}

/** Why, where nothing was thrown: for operators, who see neither the log nor the code's page. */
const reasons: Partial<Record<NonNullable<Answer['code']>, string>> = {
  RINGHOOK_HANDLER_MISSING: 'on has no handler for it any more',
  RINGHOOK_ATTEMPTS_EXHAUSTED: 'every attempt ended with its process',
}

/** Fit to be kept and shown: where something was thrown, and never what it said. */
export function failureOf({ code, reason, issues, error }: Answer, now: number): Failure {
  const parts = [
    reason ?? (code === undefined ? undefined : reasons[code]),
    issues?.map((issue) => `${issue.path}: ${issue.code}`).join(', '),
    error === undefined ? '' : ownMessageOrPlace(error),
  ]
  return {
    code: code ?? 'RINGHOOK_INTERNAL_ERROR',
    reason: parts
      .filter((part) => part)
      .join('; ')
      .slice(0, 1_000),
    at: now,
  }
}
