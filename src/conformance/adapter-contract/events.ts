import assert from 'node:assert/strict'
import { createHmac, randomBytes, randomUUID } from 'node:crypto'
import type { OutgoingHttpHeaders } from 'node:http'
import type { Clock } from '../../core/clock.ts'
import type { DeliveryCode } from '../../core/errors.ts'
import type { OutcomeName } from '../../core/outcome/outcome.ts'
import type { WireAnswer, WireRequest } from './wire.ts'

/** What the receivers of the contract verify with. */
export const secret = randomBytes(32).toString('hex')

/** What to put in place of the parts of an event. `undefined` takes a part away. */
export interface EventParts {
  readonly event?: unknown
  readonly id?: unknown
  readonly timestamp?: unknown
  readonly data?: unknown
}

/** A new event in the form that KrosAI documents for `call.ringing`. */
export function newEvent(clock: Clock, parts: EventParts = {}): Buffer {
  return Buffer.from(
    JSON.stringify({
      event: 'call.ringing',
      id: `evt_${randomUUID()}`,
      timestamp: timestampOf(clock),
      data: { call_id: 'call_abc123' },
      ...parts,
    }),
    'utf8',
  )
}

/** A new event with `data` exactly as it is written here. */
export function newEventAround(clock: Clock, data: string): Buffer {
  const head = `{"event":"call.ringing","id":"evt_${randomUUID()}"`
  return Buffer.from(`${head},"timestamp":"${timestampOf(clock)}","data":${data}}`, 'utf8')
}

/** The clock's time, or another that many ms before it, as it is written in a body. */
export function timestampOf(clock: Clock, agoMs = 0): string {
  return new Date(clock.now() - agoMs).toISOString()
}

/** A delivery with a good signature over `body`, and with more headers if given. */
export function signed(body: Uint8Array, headers: OutgoingHttpHeaders = {}): WireRequest {
  return { body, headers: { ...signature(body), 'content-type': 'application/json', ...headers } }
}

/** The signature header over `body`, made without the code under test. */
export function signature(body: Uint8Array): { 'x-webhook-signature': string } {
  const digest = createHmac('sha256', secret).update(body).digest('hex')
  return { 'x-webhook-signature': `sha256=${digest}` }
}

/** The parts of an answer that belong to some situations only. */
export interface AnswerHeaders {
  readonly allow?: string
  /** In seconds. */
  readonly retryAfter?: number
}

/** Compares the whole answer: the status, the body and every header that ringhook writes. */
export function assertAnswer(
  answer: WireAnswer,
  status: number,
  outcome: OutcomeName,
  code?: DeliveryCode,
  { allow, retryAfter }: AnswerHeaders = {},
): void {
  const body = JSON.stringify({ outcome, code })
  assert.deepEqual(wholeOf(answer), {
    status,
    body,
    contentType: 'application/json; charset=utf-8',
    contentLength: String(body.length),
    allow,
    retryAfter: retryAfter === undefined ? undefined : String(retryAfter),
  })
}

/** Compares answers with each other. */
export function wholeOf({ status, headers, body }: WireAnswer) {
  return {
    status,
    body,
    contentType: headers['content-type'],
    contentLength: headers['content-length'],
    allow: headers['allow'],
    retryAfter: headers['retry-after'],
  }
}
