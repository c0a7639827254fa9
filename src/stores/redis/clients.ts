import { errorMonitor } from 'node:events'
import { RinghookError } from '../../core/errors.ts'
import { type ClientKind, clientKindOf, isMethod, whatWasGiven } from '../../databases/clients.ts'
import { noPromises } from './failures.ts'
import type { RedisScript } from './scripts.ts'

/** A client of ioredis 5 or 6: `Redis` or `Cluster`. */
export interface IoredisClient {
  evalsha(sha: string, keyCount: number, ...keyAndValues: string[]): Promise<unknown>
  eval(script: string, keyCount: number, ...keyAndValues: string[]): Promise<unknown>
}

/** A client of node-redis 5 or 6: of `createClient`, `createClientPool` or `createCluster`. */
export interface NodeRedisClient {
  evalSha(sha: string, options: NodeRedisArguments): Promise<unknown>
  eval(script: string, options: NodeRedisArguments): Promise<unknown>
}

/** What node-redis gives to a script. */
export interface NodeRedisArguments {
  keys: string[]
  arguments: string[]
}

/** A client that {@link redisStore} works with. */
export type RedisClient = IoredisClient | NodeRedisClient

/** A script's one key, and its values. */
export type ScriptValues = readonly [key: string, ...values: string[]]

/** What a client is asked for. */
export interface RedisCommands {
  /** Runs a script by its name. */
  evalSha(script: RedisScript, values: ScriptValues): Promise<unknown>
  /** Runs a script as it stands. */
  eval(script: RedisScript, values: ScriptValues): Promise<unknown>
}

/**
 * Finds out whose client it is.
 *
 * @throws {RinghookError} RINGHOOK_STORE_INVALID
 */
export function commandsOf(client: RedisClient): RedisCommands {
  const kind = clientKindOf(client)
  if (kind === undefined || ownKinds.includes(kind)) {
    if (isMethod(client, 'eval') && isMethod(client, 'evalSha')) {
      return ofNodeRedis(client as NodeRedisClient)
    }
    if (isMethod(client, 'eval') && isMethod(client, 'evalsha')) {
      return ofIoredis(client as IoredisClient)
    }
  }
  throw new RinghookError(
    'RINGHOOK_STORE_INVALID',
    `redisStore() was given ${whatWasGiven(client)} Give it a client of ioredis or of redis (node-redis) 5 or later, and not its options or its URL.`,
  )
}

const ownKinds: readonly ClientKind[] = ['ioredis', 'nodeRedis']

/** The connection of a client, as far as its `error` events tell. */
export interface ConnectionState {
  /** What went wrong with it since the last answer. */
  error: unknown
}

/** One for each client: Node warns of an emitter with more than ten listeners of a kind. */
const states = new WeakMap<RedisClient, ConnectionState>()

/**
 * Follows a client's errors: what a command is rejected with says that there is no connection, and
 * not why, as with a wrong password. It only looks on: a client whose errors nobody handles does
 * what it always does.
 */
export function connectionStateOf(client: RedisClient): ConnectionState {
  const known = states.get(client)
  if (known !== undefined) return known
  const state: ConnectionState = { error: undefined }
  states.set(client, state)
  if (isMethod(client, 'on')) {
    const { on } = client as RedisClient & { on(event: symbol, listener: unknown): void }
    on.call(client, errorMonitor, (error: unknown) => {
      state.error = error
    })
  }
  return state
}

function ofIoredis(client: IoredisClient): RedisCommands {
  return {
    evalSha: ({ sha }, values) => promised(client.evalsha(sha, 1, ...values)),
    eval: async ({ text }, values) => client.eval(text, 1, ...values),
  }
}

function ofNodeRedis(client: NodeRedisClient): RedisCommands {
  const argumentsOf = ([key, ...values]: ScriptValues) => ({ keys: [key], arguments: values })
  return {
    evalSha: ({ sha }, values) => promised(client.evalSha(sha, argumentsOf(values))),
    eval: async ({ text }, values) => client.eval(text, argumentsOf(values)),
  }
}

/** A client that answers by callbacks was given none, and would be waited for in vain. */
function promised(reply: Promise<unknown>): Promise<unknown> {
  if (isMethod(reply, 'then')) return reply
  throw noPromises()
}
