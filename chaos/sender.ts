import { randomUUID } from 'node:crypto'
import { request } from 'node:http'
import { type SignedRequest, signedRequest } from 'ringhook/testing'
import { type Deed, deliveryHeader, provider, secret } from './endpoint.ts'
import type { Rng } from './rng.ts'
import type { WorkerPool } from './worker-pool.ts'

/** An event of the simulated provider: every delivery of it is the same bytes. */
export interface SentEvent {
  readonly id: string
  /** Of the endpoint. */
  readonly path: string
  readonly signed: SignedRequest
  isAcknowledged: boolean
}

/** What the provider saw of one delivery. */
export interface Receipt {
  readonly delivery: string
  readonly event: string
  /** 0: no answer in time, or no connection. */
  readonly status: number
  readonly outcome: string
}

/** Longer than the deadline of the workers: only a worker that is stopped or dead is given up. */
const usualTimeoutMs = 4_000

type StatusListener = (slot: number, status: number) => void

interface EventOptions {
  /** The call that the event is about. Default: none. */
  readonly call?: string
  /** Default: `/hooks`. */
  readonly path?: string
}

/** Sends signed deliveries to the workers, and keeps what they answered. */
export class Sender {
  readonly events: SentEvent[] = []
  readonly receipts: Receipt[] = []
  readonly #workers: WorkerPool
  readonly #rng: Rng
  readonly #onStatus: StatusListener
  #deliveries = 0

  /** @param onStatus - Told of the first bytes of every answer, when they arrive. */
  constructor(workers: WorkerPool, rng: Rng, onStatus: StatusListener = () => {}) {
    this.#workers = workers
    this.#rng = rng
    this.#onStatus = onStatus
  }

  /** A new event, whose handlers are to do these things, attempt by attempt. */
  create(deeds: readonly Deed[], { call, path = '/hooks' }: EventOptions = {}): SentEvent {
    const id = `evt_${randomUUID()}`
    const body = { event: 'work', id, ...(call !== undefined && { call }), data: { deeds } }
    const signed = signedRequest(provider, body, { secret })
    const event = { id, path, signed, isAcknowledged: false }
    this.events.push(event)
    return event
  }

  /** Sends an event to a slot's worker, once. Default: any that receives deliveries. */
  async deliver(
    event: SentEvent,
    slot = this.#anySlot(),
    timeoutMs = usualTimeoutMs,
  ): Promise<Receipt> {
    const delivery = `d${this.#deliveries++}`
    const port = this.#workers.portOf(slot)
    const onStatus = (status: number) => this.#onStatus(slot, status)
    const answer =
      port === undefined ? noAnswer : await post({ event, port, delivery, timeoutMs, onStatus })
    const receipt = { delivery, event: event.id, ...answer }
    if (port !== undefined) this.receipts.push(receipt)
    if (answer.status >= 200 && answer.status < 300) event.isAcknowledged = true
    return receipt
  }

  #anySlot(): number {
    const { doors } = this.#workers
    return doors[this.#rng.between(0, doors.length - 1)] ?? 0
  }
}

type Answer = Pick<Receipt, 'status' | 'outcome'>

const noAnswer: Answer = { status: 0, outcome: '' }

interface Posting {
  readonly event: SentEvent
  readonly port: number
  readonly delivery: string
  readonly timeoutMs: number
  onStatus(status: number): void
}

function post({ event, port, delivery, timeoutMs, onStatus }: Posting): Promise<Answer> {
  const { path, signed } = event
  const { method, rawBody } = signed
  const own = { [deliveryHeader]: delivery, 'content-length': rawBody.byteLength }
  const headers = { ...signed.headers, ...own }
  return new Promise((resolve) => {
    const to = { host: '127.0.0.1', port, path, method, headers }
    const sending = request({ ...to, agent: false, timeout: timeoutMs })
    sending.on('timeout', () => sending.destroy())
    sending.on('error', () => resolve(noAnswer))
    sending.on('response', (response) => {
      const { statusCode: status = 0 } = response
      onStatus(status)
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      // A provider goes by the status, also where the rest was cut off.
      response.on('error', () => resolve({ status, outcome: '' }))
      response.on('end', () => resolve({ status, outcome: outcomeIn(text) }))
    })
    sending.end(rawBody)
  })
}

function outcomeIn(text: string): string {
  try {
    const { outcome }: { readonly outcome?: unknown } = JSON.parse(text)
    return String(outcome)
  } catch {
    return ''
  }
}
