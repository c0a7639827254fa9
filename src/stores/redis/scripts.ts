import { hash } from 'node:crypto'
import { replicationLua } from '../../databases/redis-warnings.ts'
import { keptMs } from '../limits.ts'

/** A Lua script, and the name under which a server knows it once it has seen it. */
export interface RedisScript {
  readonly text: string
  readonly sha: string
}

/*
 * A key holds one string: `<state> <fence> <owner> <fingerprint>`. Its expiry is its only time, and
 * the server's: 24 h after the end of the lease, or when a settled key is forgotten. With a time in
 * the value every claim would ask for TIME as well, and there would be two times that can differ.
 *
 * Replies are text, which no client turns into something else.
 */

/** ARGV: the value of a first claim, and when it expires. */
export const claimScript = script(`
local key, value, expiry = KEYS[1], ARGV[1], ARGV[2]
if redis.call('SET', key, value, 'NX', 'PX', expiry) then return 'claimed 1' end
local state, fence, owner, fingerprint =
  string.match(redis.call('GET', key), '^(%l+) (%d+) (%S+) (.*)$')
if state == 'completed' then return 'completed ' .. fingerprint end
if state == 'running' then
  if owner == string.match(value, '^running 1 (%S+)') then
    redis.call('PEXPIRE', key, expiry)
    return 'claimed ' .. fence
  end
  local left = redis.call('PTTL', key) - ${keptMs}
  if left > 0 then return string.format('in_flight %.0f', left) end
elseif state ~= 'released' then
  return 'strange'
end
fence = string.format('%.0f', fence + 1)
redis.call('SET', key, 'running ' .. fence .. string.sub(value, #'running 1' + 1), 'PX', expiry)
return 'claimed ' .. fence`)

/** ARGV: how the value begins while the claim is held, and when it expires now. */
export const extendScript = script(`
local value, held = redis.call('GET', KEYS[1]), ARGV[1]
if not value or string.sub(value, 1, #held) ~= held then return 'no' end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
return 'yes'`)

/** ARGV: how the value begins while the claim is held, and when it expires now. */
export const completeScript = script(`
local value, held = redis.call('GET', KEYS[1]), ARGV[1]
if not value then return 'no' end
if string.sub(value, 1, #held) == held then
  value = 'completed' .. string.sub(value, #'running' + 1)
  redis.call('SET', KEYS[1], value, 'PX', ARGV[2])
  return 'yes'
end
local completed = 'completed' .. string.sub(held, #'running' + 1)
return string.sub(value, 1, #completed) == completed and 'yes' or 'no'`)

/** ARGV: how the value begins while the claim is held. */
export const releaseScript = script(`
local value, held = redis.call('GET', KEYS[1]), ARGV[1]
if not value or string.sub(value, 1, #held) ~= held then return 'no' end
value = 'released' .. string.sub(value, #'running' + 1)
redis.call('SET', KEYS[1], value, 'PX', ${keptMs})
return 'yes'`)

/** A key that was finished, or whose lease ran out, becomes a released one. */
export const forgetScript = script(`
local value = redis.call('GET', KEYS[1])
if not value then return 'unknown' end
local state, rest = string.match(value, '^(%l+)( %d+ %S+ .*)$')
if state == 'released' then return 'unknown' end
if state == 'running' then
  if redis.call('PTTL', KEYS[1]) > ${keptMs} then return 'in_flight' end
elseif state ~= 'completed' then
  return 'strange'
end
redis.call('SET', KEYS[1], 'released' .. rest, 'PX', ${keptMs})
return 'forgotten'`)

/** Reads, and writes nothing. */
export const statusScript = script(`
local state = string.match(redis.call('GET', KEYS[1]) or 'released 0', '^(%l+) ')
if state == 'completed' then return state end
if state == 'running' then
  return redis.call('PTTL', KEYS[1]) > ${keptMs} and 'in_flight' or 'unknown'
end
return state == 'released' and 'unknown' or 'strange'`)

/**
 * Whether the server would let a claim be written, what it does when its memory is full, and what a
 * failover would lose. A SET of a key that must exist, and does not, asks for all that a claim needs,
 * and writes nothing. INFO knows the settings too, and is allowed in many places where CONFIG is not.
 */
export const probeScript = script(`
${replicationLua}
redis.call('SET', KEYS[1], '', 'XX', 'PX', 1)
local memory = redis.pcall('INFO', 'memory')
if type(memory) ~= 'string' then return 'policy unknown ' .. replication() end
local policy = string.match(memory, 'maxmemory_policy:([%w-]+)') or 'unknown'
return 'policy ' .. policy .. ' ' .. replication()`)

function script(lines: string): RedisScript {
  const text = lines.trim()
  return { text, sha: hash('sha1', text, 'hex') }
}
