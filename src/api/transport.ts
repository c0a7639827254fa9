import type { z } from 'zod'
import { withTimeout } from '../core/clock.ts'
import { delayAfter } from '../core/inbox/retry.ts'
import { printable } from '../core/log.ts'
import {
  answerTo,
  failureOfAnswer,
  isJson,
  isPassing,
  maxAnswerBytes,
  retryAfterOf,
} from './answer.ts'
import { ApiError, type ApiFailure, Redaction } from './api-error.ts'
import type { CallOptions, ClientSettings } from './client-options.ts'
import { orAborted, pause } from './pause.ts'

/** One operation of an API. */
export interface Operation<Result> {
  /** As in `webhooks.create`. */
  readonly name: string
  /**
   * Whether doing it twice is the same as doing it once. One that is not is repeated only where the
   * API cannot have done it: it answered 429, or there was no connection.
   */
  readonly isRepeatable: boolean
  /** What its answer is read with. */
  readonly answer: z.ZodType<Result>
}

/** Sends one request of `openapi-fetch`, which passes it to its `fetch`. */
export type Send = (fetch: (request: Request) => Promise<Response>) => Promise<{
  readonly data?: unknown
}>

/** No connection was made, so that no request was sent. */
const neverSent = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']

/** Wrong certificates, and what does not speak TLS: another attempt would meet them again. */
const tlsFault = /CERT|^ERR_(?:SSL|TLS)|SELF_SIGNED|UNABLE_TO_VERIFY|^EPROTO$/

/**
 * Carries the calls of one client: each attempt in its time, its answer bounded and read once,
 * repeated where that is safe, and every failure as an {@link ApiError}.
 */
export class Transport {
  readonly #settings: ClientSettings
  readonly #redaction: Redaction

  constructor(settings: ClientSettings) {
    this.#settings = settings
    this.#redaction = new Redaction(settings.apiKey)
  }

  /**
   * Makes a call.
   *
   * @throws {ApiError} with each of its codes; the `reason` of `signal`.
   */
  async call<Result>(
    operation: Operation<Result>,
    { signal }: CallOptions,
    send: Send,
  ): Promise<Result> {
    let attempts = 0
    const { data } = await send(async (request) => {
      const answered = await this.#attempts(operation, await partsOf(request), signal)
      attempts = answered.attempts
      return answered.response
    })
    const read = operation.answer.safeParse(data)
    if (read.success) return read.data
    const [issue] = read.error.issues
    const at = printable(issue?.path.join('.') ?? '')
    throw new ApiError(
      answerInvalid(
        operation,
        `an answer that is not as documented${at === '' ? '' : ` at ${at}`}`,
      ),
      attempts,
    )
  }

  async #attempts(
    operation: Operation<unknown>,
    request: RequestParts,
    signal: AbortSignal | undefined,
  ): Promise<{ readonly response: Response; readonly attempts: number }> {
    const { retry, clock } = this.#settings
    let isInDoubt = false
    for (let attempt = 1; ; attempt++) {
      const tried = await this.#attempt(operation, request, signal)
      if (tried instanceof Response) return { response: tried, attempts: attempt }
      // An attempt before this one deleted it, and its answer was lost.
      if (isInDoubt && request.method === 'DELETE' && tried.status === 404) {
        return { response: new Response(null, { status: 204 }), attempts: attempt }
      }
      isInDoubt ||= tried.outcomeUnknown === true
      const delayMs = tried.retryAfterMs ?? delayAfter(retry, attempt)
      const isOver =
        attempt >= retry.maxAttempts || !mayRepeat(operation, tried) || delayMs > retry.maxDelayMs
      if (isOver) throw new ApiError(tried, attempt)
      await pause(clock, delayMs, signal)
    }
  }

  /** Returns the answer of one attempt, if it is a success. */
  async #attempt(
    operation: Operation<unknown>,
    { url, ...init }: RequestParts,
    signal: AbortSignal | undefined,
  ): Promise<Response | Failed> {
    const { fetch, timeoutMs, clock } = this.#settings
    signal?.throwIfAborted()
    const timer = new AbortController()
    const signals = signal === undefined ? [timer.signal] : [timer.signal, signal]
    const late = new Error(`there was no answer within ${timeoutMs} ms`)
    try {
      const answered = answerTo(
        fetch(url, {
          ...init,
          // The key goes nowhere else than to the API.
          redirect: 'manual',
          signal: AbortSignal.any(signals),
        }),
      )
      const inItsTime = withTimeout(clock, answered, timeoutMs, () => late)
      const { response, text } = await orAborted(inItsTime, signal)
      return this.#read(operation, response, text)
    } catch (error) {
      signal?.throwIfAborted()
      if (error === late) return timedOut(operation, timeoutMs)
      return this.#unreachable(operation, error)
    } finally {
      // Closes what was given up.
      timer.abort(late)
    }
  }

  #read(
    operation: Operation<unknown>,
    response: Response,
    text: string | undefined,
  ): Response | Failed {
    const { status } = response
    if (!response.ok) {
      const { clock } = this.#settings
      const retryAfterMs = retryAfterOf(response, clock.now())
      const failure = failureOfAnswer(operation.name, response, text, this.#redaction)
      return { ...failure, retryAfterMs, outcomeUnknown: status >= 500 }
    }
    if (text === undefined) {
      return answerInvalid(operation, `an answer of more than ${maxAnswerBytes} bytes`)
    }
    if (text.trim() === '') return new Response(null, { status: 204 })
    if (!isJson(text)) return answerInvalid(operation, 'something that is not JSON')
    return new Response(text, { status, headers: { 'content-type': 'application/json' } })
  }

  #unreachable({ name }: Operation<unknown>, error: unknown): Failed {
    const code = systemCode(error)
    const isTls = tlsFault.test(code)
    return {
      code: 'RINGHOOK_API_UNREACHABLE',
      operation: name,
      reason: `had no answer: ${code === '' ? 'the connection failed' : printable(code)}`,
      remedy: isTls
        ? 'The certificate of the API is not one to trust, or something else answers in its place. Check baseUrl and what stands between.'
        : 'Check baseUrl, the network and its proxies, and try again.',
      cause: this.#redaction.cause(error),
      outcomeUnknown: !isTls && !neverSent.includes(code),
      isFinal: isTls,
    }
  }
}

interface RequestParts {
  readonly url: string
  readonly method: string
  readonly headers: Headers
  readonly body: string | null
}

/** An attempt that failed. */
interface Failed extends ApiFailure {
  /** Whether another attempt would fail in the same way. */
  readonly isFinal?: boolean
}

/** A request can be sent once; its parts can be sent again. */
async function partsOf(request: Request): Promise<RequestParts> {
  const { url, method, headers } = request
  return { url, method, headers, body: request.body === null ? null : await request.text() }
}

function mayRepeat({ isRepeatable }: Operation<unknown>, failed: Failed): boolean {
  if (failed.isFinal === true) return false
  if (failed.status !== undefined) {
    return failed.status === 429 || (isRepeatable && isPassing(failed.status))
  }
  return isRepeatable || failed.outcomeUnknown !== true
}

function timedOut({ name }: Operation<unknown>, timeoutMs: number): Failed {
  return {
    code: 'RINGHOOK_API_TIMEOUT',
    operation: name,
    reason: `had no whole answer within ${timeoutMs} ms`,
    remedy: 'Whether the API did it is not known. Try again, or raise timeoutMs.',
    outcomeUnknown: true,
  }
}

function answerInvalid({ name }: Operation<unknown>, what: string): ApiFailure {
  return {
    code: 'RINGHOOK_API_ANSWER_INVALID',
    operation: name,
    reason: `was answered with ${what}`,
    remedy: 'Check that baseUrl is the API and not a page of a proxy.',
    outcomeUnknown: true,
  }
}

/** Returns Node's code for a failed connection, from the error of `fetch` or its cause. */
function systemCode(error: unknown): string {
  for (let found = error, depth = 0; depth < 4; depth++) {
    if (typeof found !== 'object' || found === null) return ''
    const { code, cause } = found as { readonly code?: unknown; readonly cause?: unknown }
    if (typeof code === 'string') return code
    found = cause
  }
  return ''
}
