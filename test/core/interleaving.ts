import { createReceiver, type IdempotencyStore, krosai, memoryStore, type Reply } from 'ringhook'
import { manualClock } from 'ringhook/testing'
import { event, post, secret, start } from '../helpers/endpoint.ts'

/** What decides which of the things that could happen next happens. */
export interface Turns {
  /** Resolves when it is this one's turn. */
  take(label: string): Promise<void>
  /** How many wait for their turn. */
  count(): number
  /** Gives one of them its turn. */
  next(): Promise<void>
}

export interface Interleaving {
  readonly turns: Turns
  /** Whether each of the deliveries arrives at an instance of its own. */
  readonly instances: 1 | 2
  /** What the first run of the handler does, and the second, and so on from the start. */
  readonly handlers: readonly ('finish' | 'throw' | 'overrun')[]
  /** What happens to each call of the store, from the first: the others take effect and answer. */
  readonly faults?: readonly Fault[]
  /** Times that pass at a turn of their own, in leases. Besides, time passes when nothing else can happen. */
  readonly pauses?: readonly number[]
  /** A store with a mistake. Default: none. */
  readonly mistake?: (store: IdempotencyStore) => Partial<IdempotencyStore>
}

/** `refused` takes no effect and rejects, `lost` takes effect and rejects. */
export type Fault = 'none' | 'refused' | 'lost'

/** One run of the handler. */
interface Execution {
  readonly instance: number
  readonly fence: number
  state: 'running' | 'returned' | 'thrown'
}

const leaseMs = 3_000

/** Two deliveries of one event, and everything that must not happen on the way. */
export class TwoDeliveries {
  readonly #settings: Interleaving
  readonly #clock = manualClock(start)
  readonly #memory = memoryStore({ clock: this.#clock })
  readonly #runs: Execution[] = []
  /** Until when each fence holds the key, by the store's clock, and when it was won. */
  readonly #leases = new Map<number, { readonly wonAt: number; endsAt: number }>()
  readonly #completed = new Set<number>()
  readonly #offences: string[] = []
  #passing = Promise.resolve()
  #calls = 0
  #key = ''
  #isCalm = false

  constructor(settings: Interleaving) {
    this.#settings = settings
  }

  /** Plays it to its end. Gives what happened that must not. */
  async play(): Promise<readonly string[]> {
    const { turns, pauses = [], instances } = this.#settings
    const store = this.#delayedStore()
    const receivers = Array.from({ length: instances }, (_, instance) =>
      this.#receiver(store, instance),
    )
    const replies = [0, 1].map(async (delivery) => {
      await turns.take(`delivery ${delivery} arrives`)
      const reply = await receivers[delivery % instances]?.receive(post(event()))
      if (reply !== undefined) this.#checkReply(reply)
      return reply
    })
    for (const leases of pauses) {
      void turns.take(`${leases} leases pass`).then(() => {
        this.#passing = this.#clock.advance(leases * leaseMs)
      })
    }
    await this.#drive(Promise.all(replies))
    await this.#drive(Promise.all(receivers.map((receiver) => receiver.idle())))
    await this.#checkEnd(await Promise.all(replies))
    const [first] = receivers
    if (first !== undefined) await this.#checkRetries(() => first.receive(post(event())))
    return this.#offences
  }

  /** Lets things happen, one after another, until a promise has settled. */
  async #drive(promise: Promise<unknown>): Promise<void> {
    const { turns } = this.#settings
    let isOver = false
    const over = promise.finally(() => {
      isOver = true
    })
    await quiet()
    while (!isOver) {
      if (turns.count() > 0) await turns.next()
      else if (this.#clock.nextTimerMs() !== undefined) {
        await this.#clock.advance(Math.max(1, this.#clock.nextTimerMs() ?? 0))
      } else throw new Error('a delivery waits for nothing')
      await quiet()
      // Nothing takes its turn in the middle of it.
      await this.#passing
    }
    await over
  }

  #receiver(store: IdempotencyStore, instance: number) {
    return createReceiver(krosai, {
      secret,
      clock: this.#clock,
      store,
      leaseMs,
      logger: false,
      on: { '*': (_event, { fence }) => this.#handle(instance, fence) },
    })
  }

  async #handle(instance: number, fence: number): Promise<void> {
    const { handlers, turns } = this.#settings
    const run: Execution = { instance, fence, state: 'running' }
    this.#checkStart(run)
    const way = this.#isCalm ? 'finish' : handlers[this.#runs.length % handlers.length]
    this.#runs.push(run)
    if (way === 'overrun') await this.#clock.sleep(2.5 * leaseMs)
    if (!this.#isCalm) await turns.take(`the handler of fence ${fence} ends`)
    run.state = way === 'throw' ? 'thrown' : 'returned'
    if (way === 'throw') throw new Error('the handler failed')
  }

  #checkStart(run: Execution): void {
    const now = this.#clock.now()
    const own = this.#leases.get(run.fence)
    if (run.fence !== Math.max(...this.#leases.keys())) this.#offend(run, 'was taken over')
    if (own === undefined || own.endsAt <= now) this.#offend(run, 'has no lease')
    if (this.#completed.size > 0) this.#offend(run, 'comes after a completion')
    for (const other of this.#runs) {
      if (other.state !== 'running') continue
      if (other.instance === run.instance) this.#offend(run, 'runs beside another of its instance')
      const otherEndsAt = this.#leases.get(other.fence)?.endsAt ?? 0
      if (otherEndsAt > (own?.wonAt ?? 0)) this.#offend(run, 'runs beside one that has its lease')
    }
  }

  #checkReply({ status, outcome }: Reply): void {
    const hasReturned = (fence: number | undefined) =>
      this.#runs.some((run) => run.fence === fence && run.state === 'returned')
    if (outcome.outcome === 'handled') {
      if (hasReturned(outcome.fence)) return
      this.#offences.push(`handled before the handler of fence ${outcome.fence} returned`)
    } else if (outcome.outcome === 'duplicate') {
      if ([...this.#completed].some(hasReturned)) return
      this.#offences.push('duplicate of an event that has not finished')
    } else if (status !== 500 && status !== 503) {
      this.#offences.push(`${status} ${outcome.outcome}`)
    }
  }

  /** In the end the event is completed, or the next delivery gets it. */
  async #checkEnd(replies: readonly (Reply | undefined)[]): Promise<void> {
    await this.#clock.advance(leaseMs + 1)
    const auditor = { owner: 'auditor', leaseMs: 1, fingerprint: '' }
    const claim = await this.#memory.claim(this.#key, auditor)
    if (claim.state === 'claimed') await this.#memory.release(claim)
    if (claim.state === 'in_flight') this.#offences.push('still held after its lease')
    const isPromised = replies.some(
      (reply) => reply?.status === 200 && reply.outcome.completionLost !== true,
    )
    if (isPromised && claim.state !== 'completed') this.#offences.push('answered 200, and lost')
    if (this.#completed.size > 1) this.#offences.push('completed under two fences')
  }

  /** A provider that keeps retrying is answered 200. */
  async #checkRetries(deliver: () => Promise<Reply>): Promise<void> {
    this.#isCalm = true
    const delivered = deliver()
    await this.#drive(delivered)
    const { status, outcome } = await delivered
    if (status !== 200) this.#offences.push(`the retry was answered ${outcome.outcome}`)
  }

  /** The store under test: each call waits for a turn before it takes effect, and for another after it. */
  #delayedStore(): IdempotencyStore {
    const journal = this.#journalledStore()
    const { mistake } = this.#settings
    const store: IdempotencyStore = { ...journal, ...mistake?.(journal) }
    return {
      claim: (key, options) => this.#delayed('claim', async () => store.claim(key, options)),
      extend: (claim, options) => this.#delayed('extend', async () => store.extend(claim, options)),
      complete: (claim, options) =>
        this.#delayed('complete', async () => store.complete(claim, options)),
      release: (claim) => this.#delayed('release', async () => store.release(claim)),
      forget: (key) => store.forget(key),
      status: (key) => store.status(key),
    }
  }

  async #delayed<Result>(name: string, run: () => Promise<Result>): Promise<Result> {
    if (this.#isCalm) return await run()
    const { turns, faults = [] } = this.#settings
    const call = this.#calls++
    const fault = faults[call] ?? 'none'
    await turns.take(`${name} ${call} takes effect`)
    if (fault === 'refused') throw new Error('the store is away')
    const result = await run()
    await turns.take(`${name} ${call} answers`)
    if (fault === 'lost') throw new Error('the reply was lost')
    return result
  }

  /** A store that keeps its word, and a journal of it. */
  #journalledStore(): IdempotencyStore {
    const memory = this.#memory
    const now = () => this.#clock.now()
    return {
      claim: async (key, options) => {
        this.#key = key
        const claim = await memory.claim(key, options)
        if (claim.state !== 'claimed') return claim
        const wonAt = this.#leases.get(claim.fence)?.wonAt ?? now()
        this.#leases.set(claim.fence, { wonAt, endsAt: now() + options.leaseMs })
        return claim
      },
      extend: async (claim, options) => {
        const isHeld = await memory.extend(claim, options)
        const lease = this.#leases.get(claim.fence)
        if (isHeld && lease !== undefined) lease.endsAt = now() + options.leaseMs
        return isHeld
      },
      complete: async (claim, options) => {
        const isMarked = await memory.complete(claim, options)
        if (isMarked) this.#completed.add(claim.fence)
        return isMarked
      },
      release: async (claim) => {
        const isReleased = await memory.release(claim)
        const lease = this.#leases.get(claim.fence)
        if (isReleased && lease !== undefined) lease.endsAt = now()
        return isReleased
      },
      forget: (key) => memory.forget(key),
      status: (key) => memory.status(key),
    }
  }

  #offend({ fence }: Execution, what: string): void {
    this.#offences.push(`the run of fence ${fence} ${what}`)
  }
}

/** Lets everything run that waits for no turn. */
async function quiet(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) {
    await new Promise<void>((resolve) => setImmediate(resolve))
  }
}
