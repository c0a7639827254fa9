import { UsageError } from '../shared/program.ts'
import { openBullmq } from './bullmq.ts'
import type { Engine, EngineOptions } from './engine.ts'
import { openPgBoss } from './pg-boss.ts'
import { openSqlite } from './sqlite.ts'

/** The one line that chooses the engine: change `sqlite` to `bullmq` or `pg-boss`. */
export const open = openerOf(process.env['INBOX'] ?? 'sqlite')

function openerOf(engine: string): (options: EngineOptions) => Promise<Engine> {
  const openers = new Map([
    ['sqlite', openSqlite],
    ['bullmq', openBullmq],
    ['pg-boss', openPgBoss],
  ])
  const known = [...openers.keys()].join(', ')
  return openers.get(engine) ?? fail(`INBOX is "${engine}". Set it to one of ${known}.`)
}

/** Fails when it is called, and not already when the module is loaded. */
function fail(message: string): () => Promise<never> {
  return () => Promise.reject(new UsageError(message))
}
