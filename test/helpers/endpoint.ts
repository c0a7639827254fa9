import { createHmac } from 'node:crypto'
import {
  createReceiver,
  type DeliveryRequest,
  type HandlerContext,
  type IdempotencyStore,
  type Inbox,
  krosai,
  memoryStore,
  type Outcome,
  type Provider,
  type Receiver,
  type ReceiverOptions,
  type Reply,
  type WebhookEvent,
} from 'ringhook'
import { vi } from 'vitest'
import { type ManualClock, manualClock } from '../../src/testing/manual-clock.ts'

export const secret = 'a secret that only the tests know'
export const start = Date.parse('2026-03-01T12:00:00Z')

/** A KrosAI endpoint on a clock that stands still, with everything that it does kept. */
export interface Endpoint {
  readonly receiver: Receiver
  readonly clock: ManualClock
  readonly store: IdempotencyStore
  /** Every run of the handler. */
  readonly runs: { readonly event: WebhookEvent; readonly context: HandlerContext }[]
  readonly outcomes: Outcome[]
  /** What was logged, with the level in front, but for debug lines. */
  readonly lines: string[]
  /** One for each delivery. */
  readonly debugLines: string[]
  /** Delivers a body as the provider does: signed and in one piece. */
  deliver(body?: unknown, request?: Partial<DeliveryRequest>): Promise<Reply>
}

/** Options of a KrosAI receiver, in any combination: tests give those too that are refused. */
export type AnyOptions = Partial<Extract<ReceiverOptions<typeof krosai>, { readonly inbox: Inbox }>>

export interface EndpointOptions extends AnyOptions {
  readonly clock?: ManualClock
  /** What the handler does. Default: nothing, at once. */
  readonly handle?: (event: WebhookEvent, context: HandlerContext) => unknown
}

export function endpoint({ handle = () => {}, ...options }: EndpointOptions = {}): Endpoint {
  const clock = options.clock ?? manualClock(start)
  const runs: Endpoint['runs'] = []
  const outcomes: Outcome[] = []
  const lines: string[] = []
  const debugLines: string[] = []
  const store = spied(options.store ?? memoryStore({ clock }))
  const receiver = createReceiver(krosai, {
    secret,
    clock,
    logger: logInto(lines, debugLines),
    onOutcome: (outcome) => outcomes.push(outcome),
    on: {
      '*': (received, context) => {
        runs.push({ event: received, context })
        return handle(received, context)
      },
    },
    ...options,
    store,
  } as ReceiverOptions<typeof krosai>)
  return {
    receiver,
    clock,
    store,
    runs,
    outcomes,
    lines,
    debugLines,
    deliver: (body = event(), request = {}) => receiver.receive(post(body, request)),
  }
}

/** A receiver for any provider with any options, right or wrong. */
export function build(provider: Provider, options: unknown): Receiver {
  return createReceiver<Provider>(provider, options as ReceiverOptions<Provider>)
}

/** The body of an event as KrosAI sends it. */
export function event(changes: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  return {
    id: 'evt_1',
    event: 'call.ringing',
    timestamp: new Date(start).toISOString(),
    data: { call_id: 'call_1' },
    ...changes,
  }
}

/** The request of a signed delivery. Bytes are sent as they are, everything else as JSON. */
export function post(body: unknown, request: Partial<DeliveryRequest> = {}): DeliveryRequest {
  const bytes = body instanceof Uint8Array ? body : Buffer.from(JSON.stringify(body))
  const { headers, ...rest } = request
  return {
    method: 'POST',
    url: '/hooks',
    headers: { 'x-webhook-signature': sign(bytes), ...headers },
    body: bytes,
    ...rest,
  }
}

export function sign(body: Uint8Array | string, key: string = secret): string {
  return `sha256=${createHmac('sha256', key).update(body).digest('hex')}`
}

function logInto(lines: string[], debugLines: string[]) {
  return {
    debug: (line: string) => void debugLines.push(line),
    info: (line: string) => void lines.push(`info ${line}`),
    warn: (line: string) => void lines.push(`warn ${line}`),
    error: (line: string) => void lines.push(`error ${line}`),
  }
}

/** A store that tells which of its operations were called. */
function spied(store: IdempotencyStore): IdempotencyStore {
  return {
    claim: vi.fn<IdempotencyStore['claim']>((...values) => store.claim(...values)),
    extend: vi.fn<IdempotencyStore['extend']>((...values) => store.extend(...values)),
    complete: vi.fn<IdempotencyStore['complete']>((...values) => store.complete(...values)),
    release: vi.fn<IdempotencyStore['release']>((...values) => store.release(...values)),
    forget: vi.fn<IdempotencyStore['forget']>((...values) => store.forget(...values)),
    status: vi.fn<IdempotencyStore['status']>((...values) => store.status(...values)),
  }
}

/** An answer as the sender sees it, on one line: `503 in_flight RINGHOOK_IN_FLIGHT retry-after 28`. */
export function seen({ status, headers, body }: Reply): string {
  const { outcome, code, ...rest }: Record<string, unknown> = JSON.parse(body)
  const after = headers['retry-after']
  const parts = [status, outcome, code, after && `retry-after ${after}`, ...Object.keys(rest)]
  return parts.filter(Boolean).join(' ')
}

/** A promise with its ends in the test's hands. */
export function gate<Value = void>() {
  let open: (value: Value) => void = () => {}
  let fail: (error: unknown) => void = () => {}
  const opened = new Promise<Value>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  return { opened, open, fail }
}

/** The code of what a function throws. */
export function codeOf(run: () => unknown): string | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    return (error as { readonly code?: string }).code ?? `no code: ${String(error)}`
  }
}
