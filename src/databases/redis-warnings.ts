/**
 * What a failover of Redis loses, and how a store or inbox can tell that it would. Replicas get
 * writes later: what a master has answered and no replica has yet is gone when one takes over.
 */

/** Lua that says of its server how many replicas it has, and whether it takes writes without them. */
export const replicationLua = `
local function replication()
  local info = redis.pcall('INFO', 'replication')
  if type(info) ~= 'string' then return 'replicas unknown' end
  local replicas = string.match(info, 'connected_slaves:(%d+)') or '0'
  -- The line is there only where min-replicas-to-write asks for some.
  if string.find(info, 'min_slaves_good_slaves:', 1, true) then return 'replicas asked for' end
  return 'replicas ' .. replicas
end
`

/** The warning of an eviction policy that drops what must be remembered. */
export function evictionWarnings(policy: string): readonly string[] {
  if (policy === 'noeviction' || policy === 'unknown') return []
  return [
    `ringhook: redisStore() keeps its events in a server whose maxmemory-policy is ${policy}. When its memory is full, Redis may drop remembered events, and a repeat of one runs its handler again. Set the policy to noeviction, or give ringhook a server of its own.`,
  ]
}

/** The warnings of a client, and of what its server has answered to {@link replicationLua}. */
export function failoverWarnings(name: string, client: unknown, reply: string): readonly string[] {
  const warnings: string[] = []
  const sentinels = sentinelsOf(client)
  if (sentinels === 'without a detector') warnings.push(noDetector(name))
  const replicas = Number(/\breplicas (\d+)$/.exec(reply)?.[1] ?? Number.NaN)
  if (replicas > 0 || (replicas === 0 && sentinels !== undefined)) warnings.push(unguarded(name))
  return warnings
}

function noDetector(name: string): string {
  return `ringhook: ${name}() has a client of ioredis with sentinels and without failoverDetector. In a planned failover it goes on writing to the old master, without an error, and all of that is lost. Set failoverDetector: true.`
}

function unguarded(name: string): string {
  return `ringhook: ${name}() is on a Redis that is replicated, and takes writes that no replica has: a failover loses them although they were answered. Set min-replicas-to-write to the number of replicas, and min-replicas-max-lag 10, on every server that can become the master.`
}

/** Whether a client of ioredis finds its server by sentinels, and hears of a failover from them. */
function sentinelsOf(client: unknown): 'with a detector' | 'without a detector' | undefined {
  try {
    const { options } = client as { readonly options?: unknown }
    const { sentinels, failoverDetector } = options as Readonly<Record<string, unknown>>
    if (!Array.isArray(sentinels)) return undefined
    return failoverDetector === true ? 'with a detector' : 'without a detector'
  } catch {
    // A client of another kind, or none.
    return undefined
  }
}
