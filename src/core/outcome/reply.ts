import { type Delivery, outcomeOf } from '../delivery.ts'
import type { Reply } from '../request/http.ts'
import { type Answer, accepted, duplicate, handled, ignored } from './answers.ts'
import type { DeliveryOutcome } from './outcome.ts'

/** What goes over the wire. */
type Written = Pick<Reply, 'headers' | 'body'>

const plain = new Map(
  [handled, accepted, duplicate, ignored].map((answer) => [answer.outcome, write(answer)] as const),
)

/**
 * The reply to a delivery. Those to one that went well were written beforehand. Its outcome is put
 * together when somebody asks for it: the adapters do not.
 */
export class DeliveryReply implements Reply {
  readonly status: number
  readonly headers: Reply['headers']
  readonly body: string
  readonly #provider: string
  readonly #delivery: Delivery
  readonly #answer: Answer
  readonly #endedAtMs: number
  #outcome: DeliveryOutcome | undefined

  /** @param closes - Whether the sender is to use another connection for what comes next. */
  constructor(
    provider: string,
    delivery: Delivery,
    answer: Answer,
    endedAtMs: number,
    closes = false,
  ) {
    const beforehand = answer.code === undefined ? plain.get(answer.outcome) : undefined
    const { headers, body } = beforehand ?? write(answer)
    this.status = answer.status
    this.headers = closes ? Object.freeze({ ...headers, connection: 'close' }) : headers
    this.body = body
    this.#provider = provider
    this.#delivery = delivery
    this.#answer = answer
    this.#endedAtMs = endedAtMs
  }

  get outcome(): DeliveryOutcome {
    this.#outcome ??= outcomeOf(this.#provider, this.#delivery, this.#answer, this.#endedAtMs)
    return this.#outcome
  }
}

function write({ outcome, status, code, retryAfterMs }: Answer): Written {
  const body = JSON.stringify({ outcome, code })
  const headers: Record<string, string> = {
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(body)),
  }
  if (status === 405) headers['allow'] = 'POST'
  if (retryAfterMs !== undefined) {
    headers['retry-after'] = String(Math.max(1, Math.ceil(retryAfterMs / 1_000)))
  }
  return { headers: Object.freeze(headers), body }
}
