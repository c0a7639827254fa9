import type { SignedRequest } from 'ringhook/testing'
import type { Answer } from './check.ts'

/** How long to wait for an answer: longer than ringhook's own deadline, which is 10 s. */
const patienceMs = 12_000

/** Makes a delivery, and gives what it is answered. */
export async function fetchAnswer(url: string, request: SignedRequest): Promise<Answer> {
  try {
    const signal = AbortSignal.timeout(patienceMs)
    // Once more: a connection that was kept alive is gone when the endpoint has been restarted.
    const response = await post(url, request, signal).catch(() => post(url, request, signal))
    const text = await response.text()
    try {
      const { outcome, code } = JSON.parse(text)
      return { status: response.status, outcome: String(outcome), code }
    } catch {
      return { status: response.status, outcome: 'unreadable' }
    }
  } catch {
    return { status: 0, outcome: 'no answer' }
  }
}

function post(url: string, { method, headers, rawBody }: SignedRequest, signal: AbortSignal) {
  return fetch(url, { method, headers, body: rawBody, signal })
}
