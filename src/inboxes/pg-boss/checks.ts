import { RinghookError } from '../../core/errors.ts'
import { isMethod, whatWasGiven } from '../../databases/clients.ts'

const methods = [
  ...['send', 'fetch', 'complete', 'fail', 'touch', 'cancel', 'resume', 'retry', 'deleteJob'],
  ...['update', 'findJobs', 'createQueue', 'getQueue', 'getDb'],
]

/**
 * Refuses what isn't a pg-boss, or is one before 12.35.
 *
 * @throws {RinghookError} RINGHOOK_INBOX_INVALID
 */
export function checkBoss(boss: unknown): void {
  const missing = methods.find((name) => !isMethod(boss, name))
  if (missing === undefined) return
  throw new RinghookError(
    'RINGHOOK_INBOX_INVALID',
    `pgBossInbox() was given ${whatWasGiven(boss)} It has no method "${missing}". Give it an instance of PgBoss, of pg-boss 12.35 or later.`,
  )
}
