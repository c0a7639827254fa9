import { checkOptions } from '../core/checks.ts'
import { RinghookError } from '../core/errors.ts'
import { type Logger, safeLogger } from '../core/log.ts'
import { nameInvalid } from '../databases/names.ts'
import { evictionWarnings, failoverWarnings } from '../databases/redis-warnings.ts'
import { checkDuration, checkFingerprint, checkPruneLimit, isFence } from './checks.ts'
import { keptMs } from './limits.ts'
import type { RedisClient, ScriptValues } from './redis/clients.ts'
import {
  claimOf,
  forgottenOf,
  isYes,
  type ServerSettings,
  settingsOf,
  statusOf,
} from './redis/replies.ts'
import { ScriptRunner } from './redis/script-runner.ts'
import {
  claimScript,
  completeScript,
  extendScript,
  forgetScript,
  probeScript,
  type RedisScript,
  releaseScript,
  statusScript,
} from './redis/scripts.ts'
import type {
  Claim,
  ClaimOptions,
  CompleteOptions,
  Forgotten,
  HeldClaim,
  KeyStatus,
  PersistentStore,
} from './store.ts'
import { storedForm } from './stored-form.ts'

export type {
  IoredisClient,
  NodeRedisArguments,
  NodeRedisClient,
  RedisClient,
} from './redis/clients.ts'

/** Options of {@link redisStore}. */
export interface RedisStoreOptions {
  /** What every key begins with. Any text, also none. Default: `ringhook:`. */
  readonly prefix?: string
  /** Where its warnings go. Default: `console`. `false`: silence. */
  readonly logger?: Logger | false
}

/**
 * Gives an idempotency store in Redis 6.2 or later, or in a Redis Cluster. Each operation is one
 * script on one key, and one round trip; times are the server's.
 *
 * The client is yours: connect it, listen to its `error` events, close it. An operation that has no
 * answer after 10 s rejects with RINGHOOK_STORE_TIMEOUT; others with the codes that begin with
 * RINGHOOK_STORE_. `complete` takes no transaction: RINGHOOK_STORE_NOT_TRANSACTIONAL.
 *
 * `migrate()` creates nothing: it checks that the server lets claims be written. `prune()` gives 0:
 * Redis deletes by itself what is past its retention. A server that would drop remembered events
 * when its memory is full, or lose them in a failover, is warned of, once.
 *
 * @throws {RinghookError} RINGHOOK_STORE_INVALID, RINGHOOK_OPTION_INVALID
 * @example
 * ```ts
 * import { Redis } from 'ioredis'
 * import { redisStore } from 'ringhook/stores/redis'
 *
 * const client = new Redis({ lazyConnect: true, maxRetriesPerRequest: 1 })
 * client.on('error', (error) => console.error('redis:', error.message))
 * export const store = redisStore(client, { prefix: 'webhooks:' })
 * ```
 */
export function redisStore(client: RedisClient, options: RedisStoreOptions = {}): PersistentStore {
  checkOptions('redisStore()', options, ['prefix', 'logger'])
  return new RedisStore(client, options)
}

/** The key that `migrate()` asks about: no event's stored form is so short behind a `#`. */
const probeKey = '#probe'

class RedisStore implements PersistentStore {
  readonly #client: RedisClient
  readonly #scripts: ScriptRunner
  readonly #logger: Logger
  #askedForSettings = false
  readonly #warnings = new Set<string>()

  constructor(client: RedisClient, { prefix = 'ringhook:', logger }: RedisStoreOptions) {
    this.#client = client
    this.#scripts = new ScriptRunner(client, checkedPrefix(prefix))
    this.#logger = safeLogger(logger)
  }

  async migrate(): Promise<void> {
    this.#askedForSettings = true
    this.#warn(await this.#askForSettings())
  }

  async prune({ limit }: { readonly limit?: number } = {}): Promise<number> {
    checkPruneLimit(limit)
    return 0
  }

  claim(key: string, { owner, leaseMs, fingerprint }: ClaimOptions): Promise<Claim> {
    return this.#scripts.run(
      claimScript,
      () => [
        storedForm(key),
        `running 1 ${storedForm(owner)} ${checkFingerprint(fingerprint)}`,
        leaseExpiry(leaseMs),
      ],
      (reply) => {
        if (!this.#askedForSettings) this.#warnLater()
        return claimOf(reply, key, owner)
      },
    )
  }

  extend(claim: HeldClaim, { leaseMs }: { readonly leaseMs: number }): Promise<boolean> {
    return this.#change(extendScript, claim, () => [leaseExpiry(leaseMs)])
  }

  async complete(claim: HeldClaim, options: CompleteOptions): Promise<boolean> {
    const { retentionMs, transaction } = options
    if (transaction !== undefined) {
      throw new RinghookError(
        'RINGHOOK_STORE_NOT_TRANSACTIONAL',
        'redisStore() cannot mark an event inside a database transaction. Use postgresStore(), mysqlStore() or sqliteStore() in the database of your writes, or return from the handler: the event is marked then.',
      )
    }
    return this.#change(completeScript, claim, () => [
      expiry(checkDuration('retentionMs', retentionMs)),
    ])
  }

  release(claim: HeldClaim): Promise<boolean> {
    return this.#change(releaseScript, claim, () => [])
  }

  forget(key: string): Promise<Forgotten> {
    return this.#scripts.run(forgetScript, () => [storedForm(key)], forgottenOf)
  }

  status(key: string): Promise<KeyStatus> {
    return this.#scripts.run(statusScript, () => [storedForm(key)], statusOf)
  }

  async #change(
    script: RedisScript,
    claim: HeldClaim,
    valuesOf: () => readonly string[],
  ): Promise<boolean> {
    const values: ScriptValues = [...heldBy(claim), ...valuesOf()]
    return isFence(claim.fence) && this.#scripts.run(script, () => values, isYes)
  }

  #askForSettings(): Promise<ServerSettings> {
    return this.#scripts.run(probeScript, () => [probeKey], settingsOf)
  }

  /** For processes that never call `migrate()`. Nobody waits for it. */
  #warnLater(): void {
    this.#askedForSettings = true
    this.#askForSettings().then(
      (settings) => this.#warn(settings),
      () => {
        // The claim after which it was asked is good all the same.
      },
    )
  }

  /** Once of each thing, however often the server is asked. */
  #warn({ policy, replication }: ServerSettings): void {
    const warnings = failoverWarnings('redisStore', this.#client, replication)
    for (const line of [...evictionWarnings(policy), ...warnings]) {
      if (this.#warnings.has(line)) continue
      this.#warnings.add(line)
      this.#logger.warn(line)
    }
  }
}

function checkedPrefix(prefix: string): string {
  // Clients write every lone surrogate as the same character: two prefixes would be one.
  if (typeof prefix === 'string' && prefix.isWellFormed()) return prefix
  throw nameInvalid('prefix', 'well-formed text, without half of a surrogate pair', 'ringhook:')
}

/** A running key outlives its lease. */
function leaseExpiry(leaseMs: number): string {
  return expiry(checkDuration('leaseMs', leaseMs) + keptMs)
}

function expiry(ms: number): string {
  return String(Math.max(Math.ceil(ms), 1))
}

/** The key of a claim, and how its value begins while it is held. */
function heldBy({ key, owner, fence }: HeldClaim): ScriptValues {
  return [storedForm(key), `running ${fence} ${storedForm(owner)} `]
}
