import { optionInvalid } from '../core/checks.ts'
import { systemClock } from '../core/clock.ts'
import type { OutcomeName } from '../core/outcome/outcome.ts'
import type { Receiver } from '../core/receiver.ts'
import { settingsOf } from '../core/receiver-internals.ts'
import type { Provider } from '../providers/provider.ts'
import type { SignedRequest } from './signed-request.ts'

/** How a simulated provider reaches its target. */
export interface Route {
  readonly url: string
  readonly remoteAddress: string | undefined
  /** How long the provider waits for an answer. */
  readonly timeoutMs: number
}

/** What the provider saw. Nothing: no answer in time, or no connection. */
export interface Answered {
  readonly status?: number
  readonly outcome?: OutcomeName
}

/** Sends once into a receiver and waits, by the receiver's clock, for as long as the provider would. */
export function attemptReceiver<P extends Provider>(
  receiver: Receiver<P>,
  { method, headers, rawBody: body }: SignedRequest,
  { url, remoteAddress, timeoutMs }: Route,
): Promise<Answered> {
  const clock = settingsOf(receiver)?.clock ?? systemClock
  const documented = receiver.provider.delivery.addresses?.[0]
  const socket = { remoteAddress: remoteAddress ?? documented ?? '127.0.0.1' }
  return new Promise((resolve) => {
    const replying = receiver.receive({ method, url, headers, body, socket })
    // After the receiver has set its own: an answer at the last moment is an answer.
    const timer = clock.setTimeout(() => resolve({}), timeoutMs)
    void replying.then((reply) => {
      clock.clearTimeout(timer)
      resolve({ status: reply.status, outcome: reply.outcome.outcome })
    })
  })
}

/** Sends once over HTTP and waits for as long as the provider would. */
export async function attemptUrl(
  url: string,
  { method, headers, rawBody: body }: SignedRequest,
  timeoutMs: number,
): Promise<Answered> {
  if (typeof fetch !== 'function') {
    throw optionInvalid(
      'This test environment has no fetch, so nothing can be delivered to a URL. jsdom is one.',
      'Run the test in the environment of Node: in Jest with /** @jest-environment node */ at its top. Or give a receiver as the target.',
    )
  }
  try {
    const signal = AbortSignal.timeout(timeoutMs)
    const response = await fetch(url, { method, headers, body, signal, redirect: 'manual' })
    const outcome = outcomeIn(await response.text())
    return { status: response.status, ...(outcome !== undefined && { outcome }) }
  } catch {
    return {}
  }
}

function outcomeIn(body: string): OutcomeName | undefined {
  try {
    return JSON.parse(body).outcome
  } catch {
    return undefined
  }
}
