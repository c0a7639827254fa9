import { randomUUID } from 'node:crypto'
import { request } from 'node:http'
import { type SignedRequest, signedRequest } from 'ringhook/testing'
import type { Crew } from './crew.ts'
import { type Deed, deliveryHeader, provider, secret } from './endpoint.ts'
import type { Dice } from './random.ts'

/** An event of the simulated provider: every delivery of it is the same bytes. */
export interface SentEvent {
  readonly id: string
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
const timeoutMs = 4_000

/** Sends signed deliveries to the workers, and keeps what they answered. */
export class Sender {
  readonly events: SentEvent[] = []
  readonly receipts: Receipt[] = []
  readonly #crew: Crew
  readonly #dice: Dice
  #deliveries = 0

  constructor(crew: Crew, dice: Dice) {
    this.#crew = crew
    this.#dice = dice
  }

  /** A new event, whose handlers are to do these things, attempt by attempt. */
  create(deeds: readonly Deed[]): SentEvent {
    const id = `evt_${randomUUID()}`
    const body = { event: 'work', id, data: { deeds } }
    const event = { id, signed: signedRequest(provider, body, { secret }), isAcknowledged: false }
    this.events.push(event)
    return event
  }

  /** Sends an event to a slot's worker, once. Default: any that listens. */
  async deliver(event: SentEvent, slot = this.#anySlot()): Promise<Receipt> {
    const delivery = `d${this.#deliveries++}`
    const port = this.#crew.portOf(slot)
    const answer = port === undefined ? noAnswer : await post(port, event.signed, delivery)
    const receipt = { delivery, event: event.id, ...answer }
    if (port !== undefined) this.receipts.push(receipt)
    if (answer.status >= 200 && answer.status < 300) event.isAcknowledged = true
    return receipt
  }

  #anySlot(): number {
    return this.#dice.between(0, this.#crew.slots - 1)
  }
}

const noAnswer = { status: 0, outcome: '' }

function post(
  port: number,
  { method, headers, rawBody }: SignedRequest,
  delivery: string,
): Promise<Pick<Receipt, 'status' | 'outcome'>> {
  return new Promise((resolve) => {
    const sending = request({
      host: '127.0.0.1',
      port,
      path: '/hooks',
      method,
      headers: { ...headers, [deliveryHeader]: delivery, 'content-length': rawBody.byteLength },
      agent: false,
      timeout: timeoutMs,
    })
    sending.on('timeout', () => sending.destroy())
    sending.on('error', () => resolve(noAnswer))
    sending.on('response', (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (part: string) => {
        text += part
      })
      response.on('error', () => resolve(noAnswer))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, outcome: outcomeIn(text) }),
      )
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
