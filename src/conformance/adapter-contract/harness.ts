import assert from 'node:assert/strict'
import type { Clock } from '../../core/clock.ts'
import type { HandlerContext, WebhookEvent } from '../../core/event/event.ts'
import type { ReceiverOptions } from '../../core/options/options.ts'
import type { Outcome } from '../../core/outcome/outcome.ts'
import { createReceiver, type Receiver } from '../../core/receiver.ts'
import { krosai } from '../../providers/krosai/krosai.ts'
import { memoryStore } from '../../stores/memory.ts'
import type { Claim, IdempotencyStore } from '../../stores/store.ts'
import { type ManualClock, manualClock, settle } from '../../testing/manual-clock.ts'
import { secret } from './events.ts'
import { send, type WireAnswer, type WireRequest } from './wire.ts'

/** A mounted receiver. */
export interface ServedAdapter {
  /** Where deliveries go, with a path and without a query: `http://127.0.0.1:49152/hooks`. */
  readonly url: string
  /** Stops listening and ends the connections that are left. */
  close(): Promise<void>
}

/** One rule of the contract: a test with its own harness. */
export type Rule = (name: string, run: (harness: Harness) => Promise<void>) => void

/** What a rule runs on. Its clock stands still, so no rule depends on the machine's speed. */
export interface Harness {
  readonly clock: ManualClock
  /** Mounts a receiver with these options on the adapter under test. */
  open(options?: EndpointOptions): Promise<Endpoint>
}

type Handle = (event: WebhookEvent, context: HandlerContext) => unknown

export interface EndpointOptions
  extends Omit<
    ReceiverOptions<typeof krosai>,
    | 'on'
    | 'clock'
    | 'logger'
    | 'onOutcome'
    | 'store'
    | 'secret'
    | 'events'
    | 'inbox'
    | 'retry'
    | 'orderingKey'
    | 'maxHoldMs'
  > {
  readonly secret?: ReceiverOptions<typeof krosai>['secret']
  /** Handles `call.*`. Default: does nothing. */
  readonly handle?: Handle
  /** Counts the bytes of bodies as the adapter gets them. */
  readonly watchBytes?: boolean
}

/** A mounted receiver, and all that happened to it. */
export interface Endpoint {
  readonly url: string
  readonly receiver: Receiver
  readonly calls: readonly { readonly event: WebhookEvent; readonly context: HandlerContext }[]
  readonly outcomes: readonly Outcome[]
  readonly claims: readonly Claim['state'][]
  /** How many repeats have begun to wait for a delivery that was running. */
  readonly waits: number
  /** How many bytes of bodies arrived, with `watchBytes`. */
  readonly bytes: number
  /** Makes an operation of the store fail, until it is set to `undefined`. */
  failing: 'claim' | 'complete' | undefined
  send(request: WireRequest): Promise<WireAnswer>
  /** Resolves when the condition holds. It is looked at whenever something happens here. */
  until(condition: () => boolean): Promise<void>
}

/** Runs one rule, closes what it opened and fails if an error went uncaught meanwhile. */
export async function withHarness(
  serve: (receiver: Receiver) => Promise<ServedAdapter>,
  run: (harness: Harness) => Promise<void>,
): Promise<void> {
  const clock = manualClock()
  const opened: ServedAdapter[] = []
  const uncaught: unknown[] = []
  const note = (error: unknown) => {
    uncaught.push(error)
  }
  process.on('unhandledRejection', note)
  process.on('uncaughtExceptionMonitor', note)
  try {
    await run({
      clock,
      open: async (options = {}) => {
        const endpoint = new WatchedEndpoint(clock, options)
        const served = await serve(endpoint.mounted)
        opened.push(served)
        endpoint.url = served.url
        return endpoint
      },
    })
    await settle()
  } finally {
    for (const served of opened) await served.close()
    process.off('unhandledRejection', note)
    process.off('uncaughtExceptionMonitor', note)
  }
  assert.deepEqual(uncaught, [], 'an error went uncaught')
}

class WatchedEndpoint implements Endpoint {
  url = ''
  bytes = 0
  waits = 0
  failing: Endpoint['failing']
  readonly receiver: Receiver
  /** The receiver as the adapter gets it. */
  readonly mounted: Receiver
  readonly calls: Endpoint['calls'][number][] = []
  readonly outcomes: Outcome[] = []
  readonly claims: Claim['state'][] = []
  readonly #waiting = new Set<() => void>()

  constructor(clock: ManualClock, { handle, watchBytes, ...options }: EndpointOptions) {
    const receiver = createReceiver(krosai, {
      secret,
      ...options,
      clock: this.#observed(clock),
      logger: false,
      store: this.#watched(memoryStore({ clock, logger: false })),
      onOutcome: (outcome) => {
        this.outcomes.push(outcome)
        this.#look()
      },
      on: {
        'call.*': async (event: WebhookEvent, context: HandlerContext) => {
          this.calls.push({ event, context })
          this.#look()
          await handle?.(event, context)
        },
      },
    })
    this.receiver = receiver
    this.mounted = {
      provider: receiver.provider,
      forget: (eventId) => receiver.forget(eventId),
      status: (eventId) => receiver.status(eventId),
      statusOfBody: (rawBody) => receiver.statusOfBody(rawBody),
      get inbox() {
        return receiver.inbox
      },
      start: (startOptions) => receiver.start(startOptions),
      idle: () => receiver.idle(),
      close: (closeOptions) => receiver.close(closeOptions),
      receive: (request) => {
        const reply = receiver.receive(request)
        const { body } = request
        // After the receiver, which must be the first to read.
        if (watchBytes === true && body !== undefined && 'resume' in body) {
          body.on('data', (chunk) => {
            this.bytes += Buffer.isBuffer(chunk) ? chunk.length : 0
            this.#look()
          })
        }
        return reply
      },
    }
  }

  send(request: WireRequest): Promise<WireAnswer> {
    return send(this.url, request)
  }

  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!condition()) return
        this.#waiting.delete(look)
        resolve()
      }
      this.#waiting.add(look)
      look()
    })
  }

  #look(): void {
    for (const look of this.#waiting) look()
  }

  /** The only timers of up to two seconds are those of repeats that wait. */
  #observed({ now, clearTimeout, setTimeout }: ManualClock): Clock {
    return {
      now,
      clearTimeout,
      setTimeout: (callback, delayMs) => {
        if (delayMs <= 2_000) {
          this.waits++
          this.#look()
        }
        return setTimeout(callback, delayMs)
      },
    }
  }

  #watched(store: IdempotencyStore): IdempotencyStore {
    return {
      extend: (claim, options) => store.extend(claim, options),
      release: (claim) => store.release(claim),
      forget: (key) => store.forget(key),
      status: (key) => store.status(key),
      claim: async (key, options) => {
        if (this.failing === 'claim') throw new Error('the store is down')
        const claim = await store.claim(key, options)
        this.claims.push(claim.state)
        this.#look()
        return claim
      },
      complete: async (claim, options) => {
        if (this.failing === 'complete') throw new Error('the store is down')
        return store.complete(claim, options)
      },
    }
  }
}
