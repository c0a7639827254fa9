import { setTimeout as pause } from 'node:timers/promises'
import type { StartedServer } from '../../test/helpers/start-server.ts'
import type { Place } from '../backends/backend.ts'
import {
  type FaultStage,
  lockFile,
  lockFileTwice,
  type Round,
  strikeNetwork,
  strikeOnce,
  strikeWorkers,
} from '../faults.ts'
import type { Journal, PhaseLine } from '../journal.ts'
import { repeatAll } from '../load.ts'
import type { Report } from '../report.ts'
import { Rng } from '../rng.ts'
import type { Receipt, Sender, SentEvent } from '../sender.ts'
import type { Stage } from '../stage.ts'
import type { WorkerPool } from '../worker-pool.ts'
import type { InboxBackend, OpenInbox } from './backend.ts'
import { drillInbox } from './drill.ts'
import { crashServer, strikeServer, whileCut, whileLocked } from './faults.ts'
import { type InboxHistory, inboxHistoryOf } from './history.ts'
import {
  type Fate,
  type InboxEnding,
  inboxViolationsAtEnd,
  inboxViolationsOf,
} from './invariants.ts'
import { drain, fatesOf, replaySome, spoiledIn } from './judge.ts'
import { loadInbox } from './load.ts'
import { inboxRowsOf } from './report.ts'

/** Everybody and everything that takes part in a run. */
export interface Cast {
  readonly backend: InboxBackend
  readonly place: Place
  readonly server: StartedServer | undefined
  /** The inbox, past the proxies. */
  readonly direct: OpenInbox
  readonly journal: Journal
  readonly workers: WorkerPool
  readonly sender: Sender
  readonly stage: Stage
}

/** How a run is played. */
export interface PlayOptions {
  readonly seconds: number
  /** Whether each fault strikes once, in a fixed order, instead of random ones for so long. */
  readonly isOneRound: boolean
  readonly seed: number
  /** Whether a fault is planted: when it has shown, the rest need not be played. */
  readonly isPlanted: boolean
  /** Told at the start of each phase. */
  onPhase(phase: PhaseLine['phase']): void
}

/** What is known at the end of a run beside its journal, its receipts and its accidents. */
type Endings = Omit<InboxEnding, 'receipts' | 'accidents'>

const nothing: Endings = {
  whileDown: [],
  stuck: [],
  undrained: [],
  calmFates: [],
  lastFates: [],
  spoiled: [],
}

/** Long enough for a process to come up again, mostly. */
const restMs = [400, 1_400] as const

/** The phases of a run with an inbox: drill, chaos, calm, replay, restart, end. */
export class Play {
  readonly #cast: Cast
  readonly #options: PlayOptions

  constructor(cast: Cast, options: PlayOptions) {
    this.#cast = cast
    this.#options = options
  }

  async report(): Promise<Report> {
    const { workers, sender, stage } = this.#cast
    // A worker that ends by itself is a finding, and the rest of the run would be about its absence.
    const endings = await Promise.race([this.#phases(), workers.accident.then(() => nothing)])
    // Before the journal is read: deliveries may still be under way.
    const receipts = [...sender.receipts]
    const { accidents } = workers
    const history = await this.#history()
    const ending = { ...endings, receipts, accidents }
    const violations = inboxViolationsAtEnd(history, ending)
    const about = { workers: workers.counts, faults: stage.faults(), events: sender.events.length }
    return { rows: inboxRowsOf({ history, ending, violations, ...about }), violations }
  }

  async #phases(): Promise<Endings> {
    const { backend, direct, journal, workers, sender } = this.#cast
    await this.#enter('drill')
    const { isTakenOver, whileDown } = await drillInbox({
      workers,
      sender,
      journal,
      inbox: direct.inbox,
      takeoverMs: backend.takeoverMs,
      isEnough: () => this.#hasShown(),
      whileDown: (act) => this.#whileDown(act),
    })
    if (await this.#hasShown()) return { ...nothing, whileDown }
    if (!isTakenOver) throw new Error('The drill did not bring about a takeover in five attempts.')

    await this.#enter('chaos')
    await this.#strike()

    await this.#enter('calm')
    const stuck = await this.#acknowledgeAll((event) => !event.isAcknowledged)
    const undrained = await this.#drain()
    const calmFates = await this.#fates()
    const calm = { ...nothing, whileDown, stuck, undrained, calmFates }
    if (stuck.length + undrained.length > 0 || this.#options.isPlanted) return calm

    await this.#enter('replay')
    workers.mend()
    const { spoiled } = await replaySome(direct, journal, calmFates, sender.events)
    const unreplayed = await this.#drain()

    await workers.close()
    await this.#enter('restart')
    await workers.start()
    const unrepeated = await this.#acknowledgeAll(() => true)
    const left = [...unreplayed, ...(await this.#drain())]
    const lastFates = await this.#fates()
    await workers.close()
    await this.#enter('end')
    const spoiledLast = spoiledIn(await this.#history(), calmFates, lastFates)
    return {
      ...calm,
      stuck: unrepeated,
      undrained: left,
      lastFates,
      spoiled: [...spoiled, ...spoiledLast],
    }
  }

  async #strike(): Promise<void> {
    const { backend, place, server, journal, workers, sender, stage } = this.#cast
    const rng = new Rng(this.#options.seed)
    const over = new AbortController()
    const { signal } = over
    const faults: FaultStage = { journal, workers, proxies: stage.proxies, signal }
    const striking = this.#options.isOneRound
      ? [strikeOnce(faults, this.#round(faults))]
      : [
          strikeWorkers(faults, rng.fork(1), { restMs, haltMs: backend.haltMs }),
          ...(server === undefined
            ? [lockFile(place, faults, rng.fork(2), () => stage.count('lock'))]
            : [
                strikeNetwork(faults, rng.fork(2)),
                strikeServer(server, faults, rng.fork(4), () => stage.count('crash')),
              ]),
        ]
    stage.isStriking = true
    const loading = loadInbox(sender, rng.fork(3), signal)
    const isOver = this.#options.isOneRound ? [] : [pause(this.#options.seconds * 1_000)]
    await Promise.race([...isOver, ...striking, loading])
    over.abort()
    stage.isStriking = false
    await Promise.all(striking)
    await loading
  }

  /** Halts a worker, kills one process of each role, and strikes the file or the server. */
  #round(faults: FaultStage): Round {
    const { backend, place, server, stage } = this.#cast
    return {
      halted: 3,
      haltMs: backend.haltMs[0],
      killed: [0, 2, 4],
      last: () =>
        server === undefined
          ? lockFileTwice(place, faults, () => stage.count('lock'))
          : crashServer(server, faults, 400, () => stage.count('crash')),
    }
  }

  /** Sends events until each is answered 2xx. Gives the receipts of those that never were. */
  async #acknowledgeAll(isMeant: (event: SentEvent) => boolean): Promise<Receipt[]> {
    const rng = new Rng(this.#options.seed).fork(5)
    const receipts = await repeatAll(this.#cast.sender, rng, isGood, isMeant)
    return receipts.filter((receipt) => !isGood(receipt))
  }

  #drain(): Promise<string[]> {
    return drain(this.#cast.direct, this.#cast.journal, () => this.#hasShown())
  }

  async #fates(): Promise<Fate[]> {
    return await fatesOf(this.#cast.direct, await this.#history(), this.#cast.sender.events)
  }

  /** Whether a planted fault has been found. Nobody knows how the run would go on. */
  async #hasShown(): Promise<boolean> {
    if (!this.#options.isPlanted) return false
    return inboxViolationsOf(await this.#history()).length > 0
  }

  #whileDown(act: () => Promise<void>): Promise<void> {
    const { place, server, stage } = this.#cast
    return server === undefined ? whileLocked(place, act) : whileCut(stage.proxies, act)
  }

  async #history(): Promise<InboxHistory> {
    return inboxHistoryOf(await this.#cast.journal.read())
  }

  async #enter(phase: PhaseLine['phase']): Promise<void> {
    this.#options.onPhase(phase)
    await this.#cast.journal.append({ kind: 'phase', phase })
  }
}

function isGood({ status }: Receipt): boolean {
  return status >= 200 && status < 300
}
