import type { AttemptResult, Failure } from '../inbox.ts'
import type { Job } from './bullmq-types.ts'

/** After how long a job is tried again when BullMQ could not take in what became of it, in ms. */
const defaultDelayMs = 1_000

/** Told to BullMQ: the job is not to be touched. It knows the name. */
class MovedAway extends Error {
  override readonly name = 'DelayedError'
}

/** Told to BullMQ: a failure, after which the job is tried again. */
class TryAgain extends Error {
  override readonly name: string = 'TryAgain'
  readonly delayMs: number

  constructor(failure: Failure, delayMs: number) {
    super(textOf(failure))
    this.delayMs = delayMs
  }
}

/** Told to BullMQ: the last failure. It knows this name too. */
class DeadLetter extends Error {
  override readonly name = 'UnrecoverableError'
}

/** What a worker has to say of a delivery: `given back` if it could not wait for the verdict. */
export type Ending = AttemptResult | 'given back'

/**
 * Moves a job that BullMQ does not move by itself: uncounted, and only under its lock.
 *
 * @param token - Of the lock.
 */
export async function moveAway(ending: Ending, job: Job, token: string): Promise<void> {
  // To the front of what waits.
  if (ending === 'given back') await job.moveToWait(token)
  else if (ending.state === 'postponed') {
    await job.moveToDelayed(Date.now() + wholeMs(ending.delayMs), token)
  }
}

/** What BullMQ is to be thrown, which says what becomes of the job. Nothing for what is done. */
export function errorFor(ending: Ending): Error | undefined {
  if (ending === 'given back') return new MovedAway('the delivery was given back')
  switch (ending.state) {
    case 'completed':
      return undefined
    case 'retry':
      return new TryAgain(ending.failure, wholeMs(ending.delayMs))
    case 'dead':
      return new DeadLetter(textOf(ending.failure))
    case 'postponed':
      return new MovedAway('the delivery comes later')
  }
}

/** For BullMQ's `settings.backoffStrategy`. */
export function backoffStrategy(_attempts: number, _type?: string, error?: Error): number {
  return error instanceof TryAgain ? error.delayMs : defaultDelayMs
}

/** A failure as dashboards show it: `CODE: reason (time)`. */
function textOf({ code, reason, at }: Failure): string {
  return `${code}: ${reason} (${new Date(at).toISOString()})`
}

/**
 * Reads the failure of a job.
 *
 * @param text - Also BullMQ's own words, for a job that it gave up.
 * @param otherwiseAt - The time, if the text has none.
 */
export function failureOf(text: string, otherwiseAt: number): Failure {
  const [, code, reason, time] = /^([^:\s]*): (.*) \(([\d:.TZ+-]+)\)$/s.exec(text) ?? []
  const at = Date.parse(time ?? '')
  if (code === undefined || reason === undefined || Number.isNaN(at)) {
    return { code: 'RINGHOOK_INTERNAL_ERROR', reason: text.slice(0, 1_000), at: otherwiseAt }
  }
  return { code, reason, at }
}

function wholeMs(ms: number): number {
  return Math.max(Math.ceil(ms), 0)
}
