import { krosai, type Logger } from 'ringhook'
import { type SignedRequest, signedRequest } from 'ringhook/testing'

/** What the receivers of the adapter tests verify with. */
export const secret = 'a secret for adapter tests'

/** The parts of an answer that are the same on every framework. */
export interface AdapterAnswer {
  readonly status: number
  readonly contentType: string | null
  readonly body: string
}

/** A new `call.completed` as KrosAI sends it, with other headers if given. */
export function completedCall(headers: Readonly<Record<string, string>> = {}): SignedRequest {
  return signedRequest(krosai, 'call.completed', { secret, headers })
}

/** Sends a request and gives what was answered. */
export async function post(url: string, request: SignedRequest): Promise<AdapterAnswer> {
  const { method, headers, rawBody } = request
  const response = await fetch(url, { method, headers, body: Buffer.from(rawBody) })
  return {
    status: response.status,
    contentType: response.headers.get('content-type'),
    body: await response.text(),
  }
}

/** A whole answer. */
export function answer(status: number, outcome: string, code?: string): AdapterAnswer {
  const contentType = 'application/json; charset=utf-8'
  return { status, contentType, body: JSON.stringify({ outcome, code }) }
}

/** A logger that keeps the lines of errors. */
export function recordingLogger(): Logger & { readonly errors: string[] } {
  const errors: string[] = []
  return { errors, debug() {}, info() {}, warn() {}, error: (line) => void errors.push(line) }
}
