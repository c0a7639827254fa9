import { randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type IdempotencyStore, krosai, type Outcome } from 'ringhook'
import { type SignedRequest, signedRequest } from 'ringhook/testing'
import { onTestFinished, vi } from 'vitest'
import { openEventStore } from '../../examples/shared/event-store.ts'
import type {
  ConsumingOptions,
  PublishingOptions,
  QueuedDelivery,
} from '../../examples/shared/queued-deliveries.ts'

/** An example with a broker, as its tests see it. `place` is the queue or the stream. */
export interface Broker {
  readonly name: 'rabbitmq' | 'nats'
  readonly url: string
  serve(
    options: PublishingOptions & { url: string; port: number; place: string },
  ): Promise<{ readonly address: string; close(): Promise<void> }>
  consume(
    options: ConsumingOptions & {
      place: string
      url: string
      maxAttempts?: number
      retryMs: number
      ackWaitMs: number
    },
  ): Promise<{ close(): Promise<void> }>
  /** Everything that waits in the place, or among its dead letters. What was read may be gone. */
  read(place: string, where: 'waiting' | 'dead'): Promise<readonly QueuedDelivery[]>
  /** Removes the place with all that belongs to it. */
  remove(place: string): Promise<void>
}

/** What both receivers verify with. */
export const secret = 'a secret for tests'

/** For a machine that is busy, and for connections that are made again. */
export const patience = { timeout: 20_000, interval: 20 }

/** Makes what the tests of a broker need, and removes it when a test is over. */
export function benchOf(broker: Broker) {
  // For the same reasons.
  vi.setConfig({ testTimeout: 60_000 })
  vi.spyOn(console, 'log').mockReturnValue()

  function newPlace(): string {
    const place = `ringhook-test-${randomUUID()}`
    onTestFinished(() => broker.remove(place))
    return place
  }

  async function web(place: string, url = broker.url): Promise<string> {
    const { address, close } = await broker.serve({ url, place, port: 0, secret, logger: false })
    onTestFinished(close)
    return address
  }

  type Options = Partial<Parameters<Broker['consume']>[0]>

  /** A consumer, with what became of each message. */
  async function consumer(place: string, options: Options = {}) {
    const outcomes: Outcome[] = []
    const { close } = await broker.consume({
      ...{ url: broker.url, place, secret, logger: false, on: {} },
      store: options.store ?? (await newStore()),
      ...{ retryMs: 50, ackWaitMs: 1_000, leaseMs: 1_000 },
      onOutcome: (outcome) => outcomes.push(outcome),
      ...options,
    })
    onTestFinished(close)
    const seen = () => outcomes.map(({ outcome, attempt = '' }) => `${outcome} ${attempt}`.trim())
    return { seen, close }
  }

  return { newPlace, web, consumer }
}

/** Lost connections are reported, and here they are lost on purpose. */
export function keepErrorsQuiet(): void {
  const spy = vi.spyOn(console, 'error').mockReturnValue()
  onTestFinished(() => spy.mockRestore())
}

export function completed(): SignedRequest {
  return signedRequest(krosai, 'call.completed', { secret })
}

export async function deliver(url: string, { method, headers, rawBody }: SignedRequest) {
  const response = await fetch(url, { method, headers, body: Buffer.from(rawBody) })
  const { outcome } = JSON.parse(await response.text())
  return [response.status, outcome]
}

export async function newStore(): Promise<IdempotencyStore> {
  const { store } = newFileStore()
  await store.migrate()
  return store
}

export function newFileStore() {
  const folder = mkdtempSync(join(tmpdir(), 'ringhook-broker-'))
  const file = join(folder, 'ringhook.db')
  const { store, close } = openEventStore(file)
  onTestFinished(() => {
    close()
    rmSync(folder, { recursive: true })
  })
  return { store, file }
}

export function idOf({ body }: SignedRequest): string {
  return JSON.parse(body).id
}
