import { replicationLua } from '../../databases/redis-warnings.ts'
import type { Client } from './bullmq-types.ts'

/**
 * Adds a line to the log of each job, and returns how many each has. Like BullMQ's own scripts, it
 * derives keys from ids.
 *
 * KEYS: what the keys of the queue begin with. ARGV: how many lines are kept, and the ids.
 */
const countCopies = `
local copies = {}
for index = 2, #ARGV do
  local log = KEYS[1] .. ARGV[index] .. ':logs'
  copies[index - 1] = redis.call('RPUSH', log, 'received')
  if copies[index - 1] > tonumber(ARGV[1]) then redis.call('LTRIM', log, 0, ARGV[1] - 1) end
end
return copies
`

/**
 * Returns 1 to the first of several callers that are about to remove a job, and 0 to the others:
 * BullMQ reports a job as removed even if it wasn't there.
 *
 * KEYS: the job, a mark. ARGV: how long the mark stays if the first ends in the middle, in ms.
 */
const withdraw = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
if redis.call('SET', KEYS[2], '', 'NX', 'PX', ARGV[1]) then return 1 end
return 0
`

/**
 * Resets the attempts of a dead letter. BullMQ itself can't reset how often a job stalled.
 *
 * KEYS: the dead letters, the job. ARGV: the job's id.
 */
const resetAttempts = `
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
return redis.call('HDEL', KEYS[2], 'atm', 'ats', 'stc')
`

/** Fails if nothing can be written. Returns the state of the replicas. KEYS: an unused one. */
const probe = `
${replicationLua}
redis.call('SET', KEYS[1], '', 'PX', 1)
redis.call('DEL', KEYS[1])
return replication()
`

const scripts = {
  countCopies: { name: 'ringhookCountCopies', numberOfKeys: 1, lua: countCopies },
  withdraw: { name: 'ringhookWithdraw', numberOfKeys: 2, lua: withdraw },
  resetAttempts: { name: 'ringhookResetAttempts', numberOfKeys: 2, lua: resetAttempts },
  probe: { name: 'ringhookProbe', numberOfKeys: 1, lua: probe },
} as const

/** Defines the scripts on a client, as BullMQ does with its own. */
export function defineScripts(client: Client): void {
  for (const { name, numberOfKeys, lua } of Object.values(scripts)) {
    client.defineCommand(name, { numberOfKeys, lua })
  }
}

/** Runs a script. */
export function runScript(
  client: Client,
  script: keyof typeof scripts,
  keysAndValues: readonly (string | number)[],
): Promise<unknown> {
  const { name } = scripts[script]
  const { runCommand } = client as { runCommand?: RunCommand }
  // The clients of BullMQ 6 have one way to run any script; ioredis has a method for each.
  if (typeof runCommand === 'function') return runCommand.call(client, name, keysAndValues)
  return (client as unknown as Record<string, RunScript>)[name]?.(keysAndValues) as Promise<unknown>
}

type RunCommand = (name: string, keysAndValues: readonly (string | number)[]) => Promise<unknown>
type RunScript = (keysAndValues: readonly (string | number)[]) => Promise<unknown>
