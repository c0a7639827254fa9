import { callbackQueue, TimeoutCallback } from '../../core/timeout-queue.ts'
import { serverTimeoutMs, stopwatch } from '../../databases/server-timeout.ts'
import {
  type ConnectionState,
  commandsOf,
  connectionStateOf,
  type RedisClient,
  type RedisCommands,
  type ScriptValues,
} from './clients.ts'
import { isMissingScript, redisFailure, redisSilence } from './failures.ts'
import { textOf } from './replies.ts'
import type { RedisScript } from './scripts.ts'

/** Runs scripts through the user's client, and turns its failures into the store's. */
export class ScriptRunner {
  readonly #commands: RedisCommands
  readonly #connection: ConnectionState
  readonly #prefix: string
  /** One timer for all operations: clients wait for a silent server forever. */
  readonly #timeouts = callbackQueue(stopwatch, serverTimeoutMs)

  /** @throws {RinghookError} RINGHOOK_STORE_INVALID */
  constructor(client: RedisClient, prefix: string) {
    this.#commands = commandsOf(client)
    this.#connection = connectionStateOf(client)
    this.#prefix = prefix
  }

  /**
   * Runs a script within the time that an operation may take, and returns what its reply means. It
   * uses callbacks, which cost less than a promise for every step.
   *
   * @param valuesOf - Returns the key and the script's other values. If it throws, the run rejects.
   */
  run<Result>(
    script: RedisScript,
    valuesOf: () => ScriptValues,
    resultOf: (reply: string) => Result,
  ): Promise<Result> {
    return new Promise((resolve, reject) => {
      const [key, ...values] = valuesOf()
      const prefixed: ScriptValues = [this.#prefix + key, ...values]
      const timeout = new TimeoutCallback(() => reject(redisSilence(this.#connection.error)))
      this.#timeouts.enter(timeout, stopwatch.now())
      const take = (reply: unknown) => {
        this.#timeouts.leave(timeout)
        this.#connection.error = undefined
        try {
          resolve(resultOf(textOf(reply)))
        } catch (error) {
          reject(error)
        }
      }
      const fail = (error: unknown) => {
        this.#timeouts.leave(timeout)
        reject(redisFailure(error, this.#connection.error))
      }
      const failUnlessMissing = (error: unknown) => {
        if (isMissingScript(error)) this.#commands.eval(script, prefixed).then(take, fail)
        else fail(error)
      }
      try {
        this.#commands.evalSha(script, prefixed).then(take, failUnlessMissing)
      } catch (error) {
        fail(error)
      }
    })
  }
}
