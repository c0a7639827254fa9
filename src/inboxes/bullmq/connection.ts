import { errorMonitor } from 'node:events'
import { RinghookError } from '../../core/errors.ts'
import { callbackQueue, TimeoutCallback } from '../../core/timeout-queue.ts'
import { serverTimeoutMs, stopwatch } from '../../databases/server-timeout.ts'
import type { BullmqQueue, Client } from './bullmq-types.ts'
import { bullmqFailure, bullmqSilence, bullmqUnreachable } from './failures.ts'
import { defineScripts } from './scripts.ts'

/**
 * The queue's connection to Redis. ioredis and BullMQ wait for a server that is away, for ever if
 * they are not told otherwise: here what cannot be sent is refused, and what is not answered in
 * time is given up.
 */
export class Connection {
  /** The first connection, or that it was not made at the first try. */
  readonly #opened: Promise<Client>
  /** One timer for all operations. */
  readonly #silences = callbackQueue(stopwatch, serverTimeoutMs)
  #client: Client | undefined
  /** What went wrong with it since the last answer. */
  #error: unknown

  constructor(queue: BullmqQueue) {
    const opened = clientOf(queue).then((client) => {
      defineScripts(client)
      this.#client = client
      return client
    })
    const failed = new Promise<never>((_, reject) => {
      // Why there is no connection, as a wrong password, is only said here.
      queue.on(errorMonitor, (error: unknown) => {
        this.#error = error
        reject(error)
      })
    })
    this.#opened = Promise.race([opened, failed])
    this.#opened.catch(() => {
      // Said to each operation.
    })
  }

  /** Does something with the connection, if it is there, and within the time that it may take. */
  run<Result>(work: (client: Client) => Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      const silence = new TimeoutCallback(() => reject(bullmqSilence(this.#error)))
      this.#silences.enter(silence, stopwatch.now())
      const take = (result: Result) => {
        this.#silences.leave(silence)
        this.#error = undefined
        resolve(result)
      }
      const fail = (error: unknown) => {
        this.#silences.leave(silence)
        reject(bullmqFailure(error, this.#error))
      }
      const begin = (client: Client) => {
        if (isReady(client)) work(client).then(take, fail)
        else fail(bullmqUnreachable(this.#error))
      }
      if (this.#client !== undefined) begin(this.#client)
      else if (this.#error === undefined) this.#opened.then(begin).catch(fail)
      // It is still tried for, which may take until somebody starts the server.
      else fail(bullmqUnreachable(this.#error))
    })
  }
}

/** `connect` is all that a Cluster of ioredis says of itself for long. */
function isReady({ status, isCluster }: Client): boolean {
  return status === 'ready' || (status === 'connect' && isCluster === true)
}

/**
 * The client of a queue: a getter of its own in BullMQ 5, of its backend in BullMQ 6.
 *
 * @throws {RinghookError} RINGHOOK_INBOX_INVALID
 */
function clientOf(queue: BullmqQueue): Promise<Client> {
  const backend = queue.getBackend?.() as { readonly client?: unknown } | undefined
  const client = (backend ?? queue).client
  if (typeof (client as Promise<unknown> | undefined)?.then === 'function') {
    return client as Promise<Client>
  }
  throw new RinghookError(
    'RINGHOOK_INBOX_INVALID',
    'bullmqInbox() was given a queue that is not in Redis. For Postgres there is pgBossInbox().',
  )
}

/** A connection for a worker, and how to end it if BullMQ does not. */
export interface WorkerConnection {
  readonly connection: unknown
  end(): void
}

/**
 * What a worker needs: it waits for its server as long as it takes, and its blocking commands are
 * answered late.
 */
const patient = {
  maxRetriesPerRequest: null,
  enableOfflineQueue: true,
  commandTimeout: undefined,
  socketTimeout: undefined,
}

/**
 * Gives a worker a connection like the queue's, which is set to give up soon. A client that the
 * user gave is copied, as BullMQ would throw at it; one of another library than ioredis has no such
 * settings, and BullMQ itself copies it for what blocks.
 */
export function workerConnection(given: unknown): WorkerConnection {
  const client = (given ?? {}) as Partial<IoredisClient>
  if (typeof client.duplicate !== 'function') {
    return { connection: { ...client, ...patient }, end: () => {} }
  }
  if (typeof client.defineCommand !== 'function') return { connection: given, end: () => {} }
  const copy = copyOf(client as IoredisClient)
  return { connection: copy, end: () => copy.disconnect() }
}

interface IoredisClient {
  readonly isCluster?: boolean
  readonly options?: { readonly redisOptions?: object }
  readonly defineCommand: unknown
  duplicate(...options: unknown[]): { disconnect(): void }
}

function copyOf(client: IoredisClient): { disconnect(): void } {
  if (client.isCluster !== true) return client.duplicate(patient)
  return client.duplicate(undefined, {
    redisOptions: { ...client.options?.redisOptions, ...patient },
  })
}
