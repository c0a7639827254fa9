import { signingKey } from '../core/authentication/signature.ts'
import { checkOptions } from '../core/checks.ts'
import { systemClock } from '../core/clock.ts'
import type { OutcomeName } from '../core/outcome/outcome.ts'
import type { Receiver } from '../core/receiver.ts'
import { internalsOf, settingsOf } from '../core/receiver-internals.ts'
import type { Provider } from '../providers/provider.ts'
import { isSignedRequest, signFor } from './deliver.ts'
import { attemptReceiver, attemptUrl } from './delivery-attempt.ts'
import { drainInbox } from './drain-inbox.ts'
import { type ManualClock, settle } from './manual-clock.ts'
import { pause } from './pause.ts'
import {
  type OverridesFor,
  type RequestOptions,
  requestFor,
  requestOptions,
  type Sendable,
  type SignedRequest,
} from './signed-request.ts'

/** Where a simulated provider delivers to: a receiver, or the URL of a server. */
export type SimulationTarget<P extends Provider> = Receiver<P> | string

export interface SimulationOptions<P extends Provider> {
  /** A function is asked before every attempt: for a deploy in the middle of the retries. */
  readonly target: SimulationTarget<P> | (() => SimulationTarget<P>)
  /** To sign with, for a provider that signs. Not needed for a receiver. */
  readonly secret?: string
  /** Path and query for a receiver, as in `/hooks?token=…`. Default: `/`. */
  readonly url?: string
  /** Where the connection to a receiver comes from. Default: a documented address, or `127.0.0.1`. */
  readonly remoteAddress?: string
  /** How long the provider waits for an answer, in ms. Default: what its pages say, or 10 000 where they do not. */
  readonly timeoutMs?: number
  /** How many hooks send each event. Default: what its pages say, CallKaro 2, or 1. */
  readonly copies?: number
  /**
   * How long to wait for work outside the clock, such as a database, before virtual time goes on,
   * in ms of real time. Default: 20.
   */
  readonly patienceMs?: number
}

const simulationOptions = [
  'target',
  'secret',
  'url',
  'remoteAddress',
  'timeoutMs',
  'copies',
  'patienceMs',
]

/** One attempt to deliver one event. */
export interface Attempt {
  /** The number of the event, from 0 in the order of `send`. */
  readonly event: number
  /** Which hook sent it, from 1. */
  readonly copy: number
  /** Which attempt of this hook, from 1. */
  readonly attempt: number
  /** When it was sent, in virtual ms since the first. */
  readonly atMs: number
  /** The status answered. Absent: no answer within the provider's time-out, or no connection. */
  readonly status?: number
  readonly outcome?: OutcomeName
}

export interface SimulationReport {
  readonly attempts: readonly Attempt[]
  /** How often `effect` was called, by name. */
  readonly effects: Readonly<Record<string, number>>
  /** The numbers of the events that no hook could deliver. */
  readonly undelivered: readonly number[]
  /** Whether the provider disabled the endpoint; it sends nothing after that. */
  readonly disabled: boolean
}

export interface ProviderSimulation<P extends Provider> {
  /** Has the provider send an event when `run` is called: an event's name, a body, or a request. */
  send<const Sent extends Sendable<P> | SignedRequest>(
    sent: Sent,
    options?: RequestOptions & OverridesFor<P, Sent>,
  ): void
  /** Counts an effect. Call it in the handler, where the real effect would be. */
  effect(name: string): void
  /** Delivers everything, with every retry, and resolves when the provider has given up or is done. */
  run(): Promise<SimulationReport>
}

interface Planned {
  readonly event: number
  readonly copy: number
  readonly attempt: number
  readonly atMs: number
  readonly request: () => Promise<SignedRequest>
}

/**
 * Plays a provider: delivers events, and sends again what was not answered 2xx, on the schedule in
 * the provider's pages. Hours pass in virtual time: a receiver under test takes part in it if it
 * was made with a `manualClock()`. For a URL, retries follow each other at once and the report's
 * times are those of the schedule.
 *
 * @example
 * ```ts
 * import { createReceiver, krosai } from 'ringhook'
 * import { manualClock, simulateProvider } from 'ringhook/testing'
 *
 * let failures = 2
 * const receiver = createReceiver(krosai, {
 *   secret: 'a secret for tests',
 *   clock: manualClock(),
 *   on: {
 *     'call.completed': () => {
 *       if (failures-- > 0) throw new Error('the CRM is down')
 *       simulation.effect('call saved')
 *     },
 *   },
 * })
 * const simulation = simulateProvider(krosai, { target: receiver })
 * simulation.send('call.completed')
 * const { attempts, effects } = await simulation.run()
 * console.log(attempts.map(({ atMs, status }) => [atMs, status])) // 500 at 0, 500 after 1 min, 200 after 6
 * console.log(effects) // { 'call saved': 1 }
 * ```
 */
export function simulateProvider<P extends Provider>(
  provider: P,
  options: SimulationOptions<P>,
): ProviderSimulation<P> {
  checkOptions('simulateProvider()', options, simulationOptions)
  const { retryDelaysMs, disabledAfterFailures } = provider.delivery
  const { url = '/', remoteAddress } = options
  const timeoutMs = options.timeoutMs ?? provider.delivery.timeoutMs ?? 10_000
  const copies = options.copies ?? provider.delivery.copies ?? 1
  const effects: Record<string, number> = {}
  const attempts: Attempt[] = []
  const delivered = new Set<number>()
  let planned: Planned[] = []
  let sentEvents = 0
  let disabled = false

  function targetNow(): SimulationTarget<P> {
    return typeof options.target === 'function' ? options.target() : options.target
  }

  async function attemptOne(plan: Planned): Promise<void> {
    const target = targetNow()
    const request = await plan.request()
    const answer = await (typeof target === 'string'
      ? attemptUrl(target, request, timeoutMs)
      : attemptReceiver(target, request, { url, remoteAddress, timeoutMs }))
    const { event, copy, attempt, atMs } = plan
    attempts.push({ event, copy, attempt, atMs, ...answer })
    if (answer.status !== undefined && answer.status >= 200 && answer.status < 300) {
      delivered.add(event)
      return
    }
    if (attempt === disabledAfterFailures) disabled = true
    const delayMs = retryDelaysMs[attempt]
    if (delayMs !== undefined) planned.push({ ...plan, attempt: attempt + 1, atMs: atMs + delayMs })
  }

  return {
    send(sent, sendOptions) {
      checkOptions('send()', sendOptions ?? {}, requestOptions)
      const event = sentEvents++
      let signed: Promise<SignedRequest> | undefined
      // Signed when it is first sent, by the clock of then; every retry is the same bytes.
      const request = () =>
        (signed ??= sign(provider, targetNow(), sent, options.secret, { url, ...sendOptions }))
      for (let copy = 1; copy <= copies; copy++) {
        planned.push({ event, copy, attempt: 1, atMs: 0, request })
      }
    },
    effect(name) {
      effects[name] = (effects[name] ?? 0) + 1
    },
    async run() {
      const patienceMs = options.patienceMs ?? 20
      const startedAtMs = manualClockOf(targetNow())?.now() ?? 0
      while (planned.length > 0 && !disabled) {
        const nextMs = Math.min(...planned.map(({ atMs }) => atMs))
        const clock = manualClockOf(targetNow())
        // A slow answer has taken its time out of the wait that follows it.
        await clock?.advance(Math.max(0, startedAtMs + nextMs - clock.now()))
        const due = planned.filter(({ atMs }) => atMs === nextMs)
        planned = planned.filter(({ atMs }) => atMs > nextMs)
        await drive(Promise.all(due.map(attemptOne)), clock, patienceMs)
      }
      const target = targetNow()
      if (typeof target !== 'string') {
        const isDone = internalsOf(target)?.hasWorker === true ? drainInbox(target) : target.idle()
        await drive(isDone, manualClockOf(target), patienceMs)
      }
      const undelivered = Array.from({ length: sentEvents }, (_, event) => event)
      return {
        attempts,
        effects,
        undelivered: undelivered.filter((event) => !delivered.has(event)),
        disabled,
      }
    },
  }
}

async function sign<P extends Provider>(
  provider: P,
  target: SimulationTarget<P>,
  sent: Sendable<P> | SignedRequest,
  secret: string | undefined,
  options: RequestOptions & { readonly url: string },
): Promise<SignedRequest> {
  if (isSignedRequest(sent)) return sent
  if (secret === undefined && typeof target !== 'string') return signFor(target, sent, options)
  const { signature } = provider
  const key =
    secret === undefined || signature === false ? undefined : signingKey(signature, secret)
  const clock = manualClockOf(target) ?? systemClock
  return requestFor(provider, sent, key, { clock, ...options })
}

function manualClockOf<P extends Provider>(target: SimulationTarget<P>): ManualClock | undefined {
  const clock = typeof target === 'string' ? undefined : settingsOf(target)?.clock
  return clock !== undefined && 'nextTimerMs' in clock ? (clock as ManualClock) : undefined
}

/** Waits for work, and lets virtual time go on to the next timer whenever nothing else moves it. */
async function drive(
  work: Promise<unknown>,
  clock: ManualClock | undefined,
  patienceMs: number,
): Promise<void> {
  let isDone = false
  const done = work.then(() => {
    isDone = true
  })
  // It may fail before it is waited for, below.
  done.catch(() => {})
  while (clock !== undefined && !isDone) {
    await settle()
    if (isDone) break
    await Promise.race([done, pause(patienceMs)])
    if (isDone) break
    const nextMs = clock.nextTimerMs()
    if (nextMs !== undefined) await clock.advance(nextMs)
  }
  await done
}
