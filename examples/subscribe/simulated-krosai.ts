import { randomBytes, randomUUID } from 'node:crypto'
import { type JsonObject, krosai, type SentName } from 'ringhook'
import { type SignedRequest, signedRequest } from 'ringhook/testing'

/** A subscription, with the fields of KrosAI's API document. */
export interface SimulatedWebhook {
  readonly id: string
  readonly url: string
  readonly secret: string
  readonly events: readonly string[]
  readonly active: boolean
  readonly organization_id: string
  readonly created_at: string
  readonly updated_at: string
}

/**
 * A delivery. Only its first four fields are documented, and not the values of `status`: the others
 * are what the page's words suggest ("including payload and response").
 */
export interface SimulatedDelivery {
  readonly id: string
  readonly webhook_id: string
  readonly event_type: string
  readonly status: 'pending' | 'delivered' | 'failed'
  readonly payload: unknown
  readonly response: { readonly status_code: number } | null
}

interface Pending {
  delivery: SimulatedDelivery
  readonly request: SignedRequest
  readonly url: string
  /** The attempt that comes next, from 0, and when. */
  attempt: number
  dueAt: number
}

/**
 * KrosAI, as far as its pages tell: signs, delivers over HTTP, tries five times on the documented
 * schedule, and remembers what became of it. Hours pass when `advance` says so. `SimulatedApi` puts
 * its management API in front of it.
 */
export class SimulatedKrosai {
  readonly webhooks = new Map<string, SimulatedWebhook>()
  /** While it is down it sends nothing, and gives up what falls due. Its API answers 503. */
  isDown = false
  /** The next answer gets lost: KrosAI never learns that it was delivered. */
  losesNextAnswer = false
  readonly #history = new Map<string, SimulatedDelivery>()
  readonly #pending = new Set<Pending>()
  readonly #organizationId = randomUUID()
  /** Six hours behind, so that the hours of a drill lie in the past for the receiver. */
  #now = Date.now() - 6 * 3_600_000

  /** Every delivery, the newest first. */
  get deliveries(): readonly SimulatedDelivery[] {
    return [...this.#history.values()].reverse()
  }

  subscribe(wanted: Pick<SimulatedWebhook, 'url' | 'events' | 'active'>): SimulatedWebhook {
    // No two at the same moment.
    this.#now++
    const now = this.#timestamp()
    const webhook = {
      id: randomUUID(),
      secret: randomBytes(32).toString('hex'),
      organization_id: this.#organizationId,
      created_at: now,
      updated_at: now,
      ...wanted,
    }
    this.webhooks.set(webhook.id, webhook)
    return webhook
  }

  change(
    webhook: SimulatedWebhook,
    changes: Partial<Pick<SimulatedWebhook, 'url' | 'events' | 'active'>>,
  ): SimulatedWebhook {
    const changed = { ...webhook, ...changes, updated_at: this.#timestamp() }
    this.webhooks.set(webhook.id, changed)
    return changed
  }

  /** Something happens: every active webhook that is subscribed to it gets a delivery, at once. */
  async send(event: SentName<typeof krosai>, data: JsonObject): Promise<void> {
    for (const webhook of this.webhooks.values()) {
      if (!webhook.active || !isSubscribed(webhook, event)) continue
      const planned = this.#plan(webhook, event, data)
      if (this.isDown) this.#settle(planned, 'failed', null)
      else await this.#attempt(planned)
    }
  }

  /** The test call. What KrosAI sends is not documented: here it is a documented event. */
  async test({ id, url, secret }: SimulatedWebhook): Promise<number | null> {
    const request = signedRequest(krosai, 'call.completed', {
      secret,
      overrides: { data: { call_id: `call_of_the_test_of_${id}` } },
    })
    return await post(url, request)
  }

  /** Sends a delivery again, by hand. */
  async retry(delivery: SimulatedDelivery): Promise<void> {
    const webhook = this.webhooks.get(delivery.webhook_id)
    if (webhook === undefined) return
    const body = Buffer.from(JSON.stringify(delivery.payload))
    const request = signedRequest(krosai, body, { secret: webhook.secret })
    await this.#send({ delivery, request, url: webhook.url })
  }

  /** Lets time pass: what falls due is sent, or given up while KrosAI is down. */
  async advance(ms: number): Promise<void> {
    const until = this.#now + ms
    for (let next = this.#next(until); next !== undefined; next = this.#next(until)) {
      this.#now = next.dueAt
      if (this.isDown) this.#settle(next, 'failed', null)
      else await this.#attempt(next)
    }
    this.#now = until
  }

  #plan(webhook: SimulatedWebhook, event: SentName<typeof krosai>, data: JsonObject): Pending {
    const timestamp = this.#timestamp()
    const payload = { event, id: `evt_${randomUUID()}`, timestamp, data }
    // Bytes: the timestamp is that of the event, and not of the moment.
    const body = Buffer.from(JSON.stringify(payload))
    return {
      delivery: {
        id: randomUUID(),
        webhook_id: webhook.id,
        event_type: event,
        status: 'pending',
        payload,
        response: null,
      },
      request: signedRequest(krosai, body, { secret: webhook.secret }),
      url: webhook.url,
      attempt: 0,
      dueAt: this.#now,
    }
  }

  async #attempt(pending: Pending): Promise<void> {
    const delivery = await this.#send(pending)
    pending.delivery = delivery
    const delayMs = krosai.delivery.retryDelaysMs[++pending.attempt]
    if (delivery.status === 'delivered' || delayMs === undefined) {
      this.#settle(pending, delivery.status, delivery.response)
      return
    }
    pending.dueAt = this.#now + delayMs
    this.#settle(pending, 'pending', delivery.response)
    this.#pending.add(pending)
  }

  async #send(sent: Pick<Pending, 'delivery' | 'request' | 'url'>): Promise<SimulatedDelivery> {
    const status = await post(sent.url, sent.request)
    const isLost = this.losesNextAnswer
    this.losesNextAnswer = false
    const isDelivered = !isLost && status !== null && status >= 200 && status < 300
    const delivery: SimulatedDelivery = {
      ...sent.delivery,
      status: isDelivered ? 'delivered' : 'failed',
      response: status === null || isLost ? null : { status_code: status },
    }
    this.#history.set(delivery.id, delivery)
    return delivery
  }

  #settle(
    pending: Pending,
    status: SimulatedDelivery['status'],
    response: SimulatedDelivery['response'],
  ): void {
    this.#pending.delete(pending)
    this.#history.set(pending.delivery.id, { ...pending.delivery, status, response })
  }

  #next(until: number): Pending | undefined {
    const due = [...this.#pending].filter(({ dueAt }) => dueAt <= until)
    return due.sort((one, other) => one.dueAt - other.dueAt)[0]
  }

  #timestamp(): string {
    return new Date(this.#now).toISOString()
  }
}

/** By the event and not by its name: the pages do not say which spelling is sent. */
function isSubscribed({ events }: SimulatedWebhook, event: string): boolean {
  const typeOf = (name: string) => krosai.canonicalNames.get(name) ?? name
  return events.some((name) => typeOf(name) === typeOf(event))
}

/** The status that was answered, or `null` if there was no answer. */
async function post(url: string, { method, headers, rawBody }: SignedRequest) {
  try {
    const response = await fetch(url, { method, headers, body: rawBody, redirect: 'manual' })
    await response.arrayBuffer()
    return response.status
  } catch {
    return null
  }
}
