import type { ApiCode } from '../core/errors.ts'
import type { ApiFailure, Redaction } from './api-error.ts'

/** The parts of an API's own error. All documents that are known have them; none is relied on. */
interface ApiAnswer {
  readonly error?: unknown
  readonly code?: unknown
  readonly details?: unknown
}

/** The longest answer that is read. */
export const maxAnswerBytes = 8 * 1024 * 1024

/** Returns an answer with its text, or with `undefined` if that is too long. */
export async function answerTo(fetched: Promise<Response>) {
  const response = await fetched
  return { response, text: await textOf(response) }
}

/** Returns the text of an answer, or `undefined` if it is too long. */
async function textOf(response: Response): Promise<string | undefined> {
  if (response.body === null) return ''
  const decoder = new TextDecoder()
  let text = ''
  let length = 0
  const reader = response.body.getReader()
  for (let chunk = await reader.read(); !chunk.done; chunk = await reader.read()) {
    length += chunk.value.byteLength
    if (length > maxAnswerBytes) {
      await reader.cancel()
      return undefined
    }
    text += decoder.decode(chunk.value, { stream: true })
  }
  return text + decoder.decode()
}

/** Not by the message of `JSON.parse`: it quotes what it could not read. */
export function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Whether a status may be another one soon. */
export function isPassing(status: number): boolean {
  return status === 408 || status === 429 || (status >= 500 && status !== 501)
}

/** Returns how long an answer asks to wait, in ms: `Retry-After` in seconds, or as a date. */
export function retryAfterOf({ headers }: Response, now: number): number | undefined {
  const text = headers.get('retry-after')?.trim()
  if (text === undefined || text === '') return undefined
  if (/^\d+$/.test(text)) return Number(text) * 1_000
  const at = Date.parse(text)
  return Number.isNaN(at) ? undefined : Math.max(0, at - now)
}

/** Describes a failed answer. Any part of it may contain the API key. */
export function failureOfAnswer(
  operation: string,
  { status, headers }: Response,
  text: string | undefined,
  redaction: Redaction,
): ApiFailure {
  const { error, code, details } = errorIn(text)
  const { ringhookCode, remedy } = meaningOf(status)
  const apiCode = shortToken(redaction, code)
  const requestId = shortToken(redaction, headers.get('x-request-id'))
  const facts = [
    ...(apiCode === undefined ? [] : [`code ${apiCode}`]),
    ...(requestId === undefined ? [] : [`request ${requestId}`]),
  ]
  return {
    code: ringhookCode,
    operation,
    reason: `was answered ${status}${facts.length === 0 ? '' : ` (${facts.join(', ')})`}`,
    remedy,
    status,
    apiCode,
    apiMessage: typeof error === 'string' ? oneLine(redaction.text(error)) : undefined,
    details: redaction.json(details),
    requestId,
  }
}

function errorIn(text: string | undefined): ApiAnswer {
  try {
    const parsed: unknown = JSON.parse(text ?? '')
    return typeof parsed === 'object' && parsed !== null ? parsed : {}
  } catch {
    return {}
  }
}

/** Text from outside without control characters and without end. */
function oneLine(text: string): string {
  return text.slice(0, 1_000).replace(/\p{Cc}/gu, ' ')
}

/** Something to branch on or to quote to support, if it looks like it. */
function shortToken(redaction: Redaction, value: unknown): string | undefined {
  if (typeof value !== 'string') return undefined
  const text = redaction.text(value)
  return /^[\w.:/-]{1,100}$/.test(text) ? text : undefined
}

function meaningOf(status: number): { readonly ringhookCode: ApiCode; readonly remedy: string } {
  if (status === 401 || status === 403) {
    return {
      ringhookCode: 'RINGHOOK_API_UNAUTHORIZED',
      remedy: 'Check the API key, and that it may do this.',
    }
  }
  if (status === 404) {
    return {
      ringhookCode: 'RINGHOOK_API_NOT_FOUND',
      remedy: 'Check the id, and that the API key belongs to the same account.',
    }
  }
  if (status === 429) {
    return {
      ringhookCode: 'RINGHOOK_API_RATE_LIMITED',
      remedy: 'Call less often, or wait for as long as retryAfterMs says.',
    }
  }
  if (status < 400) {
    return {
      ringhookCode: 'RINGHOOK_API_REDIRECTED',
      remedy:
        'Redirects are not followed: the API key would go along. Set baseUrl to the address of the API itself.',
    }
  }
  if (status >= 500) {
    return {
      ringhookCode: 'RINGHOOK_API_FAILED',
      remedy: 'That is the API’s failure: try again later.',
    }
  }
  return {
    ringhookCode: 'RINGHOOK_API_REFUSED',
    remedy: 'What the API objects to is in apiMessage and details.',
  }
}
