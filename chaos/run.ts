import { randomBytes } from 'node:crypto'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { backendOf, type Place, type StoreName } from './backends/backend.ts'
import type { Programs } from './build.ts'
import { drill } from './drill.ts'
import { leaseMs, type Mutant } from './endpoint.ts'
import {
  lockFile,
  lockFileTwice,
  type Round,
  strikeNetwork,
  strikeOnce,
  strikeWorkers,
} from './faults.ts'
import { historyOf } from './history.ts'
import { type Ending, violationsAtEnd, violationsOf } from './invariants.ts'
import type { Journal, PhaseLine } from './journal.ts'
import { load, repeatAll } from './load.ts'
import { type Report, rowsOf } from './report.ts'
import { Rng } from './rng.ts'
import { Sender } from './sender.ts'
import { Stage } from './stage.ts'
import { WorkerPool } from './worker-pool.ts'

export interface RunOptions {
  readonly store: StoreName
  /** Of the server. Absent for SQLite. */
  readonly url: string | undefined
  readonly seconds: number
  /** Whether each fault strikes once, in a fixed order, instead of random ones for so long. */
  readonly isOneRound: boolean
  readonly seed: number
  readonly mutant: Mutant | undefined
  readonly programs: Programs
  /** Told at the start of each phase. */
  onPhase(phase: PhaseLine['phase']): void
}

const slots = 3
/** Halts are longer than a lease. */
const pace = { restMs: [200, 700], haltMs: [1.1 * leaseMs, 2.5 * leaseMs] } as const

/** What is known at the end of a run beside its journal. */
interface Endings extends Pick<Ending, 'stuck' | 'afterRestart'> {
  /** The drill failed, and the phases after it were left out. */
  readonly isCutShort: boolean
}

const nothing: Endings = { stuck: [], afterRestart: [], isCutShort: false }

/** One run against one store: drill, chaos, calm, restart, verdict. */
export class ChaosRun {
  readonly #options: RunOptions
  readonly #stage = new Stage()

  constructor(options: RunOptions) {
    this.#options = options
  }

  /** For a status line, while it runs. */
  get status(): string {
    return this.#stage.status
  }

  async run(): Promise<Report> {
    const { store, programs, seed, mutant } = this.#options
    const backend = await backendOf(store)
    const place = await this.#choosePlace()
    this.#stage.atEnd(() => backend.erase(place))
    const journal = await backend.openJournal(place)
    this.#stage.atEnd(() => journal.close())
    // The workers migrate too, but do not wait for it: through a broken network it may take long.
    const direct = await backend.openStore(place, 0)
    await direct.store.migrate()
    await direct.close()
    const storeUrls =
      store === 'sqlite'
        ? Array.from({ length: slots }, () => place.url)
        : await this.#stage.openProxies(place.url, slots)
    const each = storeUrls.map((storeUrl) => {
      return { isDoor: true, told: { store, ...place, mutant, storeUrl } }
    })
    const workers = this.#stage.enter(new WorkerPool({ programs, slots: each }, journal))
    await workers.start()
    return await this.#play(place, journal, workers, new Sender(workers, new Rng(seed)))
  }

  /** Ends every process at once, and does not wait. */
  killAll(): void {
    this.#stage.killAll()
  }

  /** Ends everything, and leaves nothing in the database. Also in the middle of a run. */
  async end(): Promise<void> {
    await this.#stage.end()
  }

  async #play(
    place: Place,
    journal: Journal,
    workers: WorkerPool,
    sender: Sender,
  ): Promise<Report> {
    // A worker that ends by itself is a finding, and the rest of the run would be about its absence.
    const phases = this.#phases(place, journal, workers, sender)
    const endings = await Promise.race([phases, workers.accident.then(() => nothing)])
    const { accidents } = workers
    // Before the journal is read: deliveries may still be under way.
    const receipts = [...sender.receipts]
    const history = historyOf(await journal.read())
    const violations = violationsAtEnd(history, { ...endings, receipts, accidents })
    if (endings.isCutShort && violations.length === 0) {
      throw new Error('The drill did not bring about a takeover in five attempts.')
    }
    const rows = rowsOf({
      history,
      violations,
      events: sender.events.length,
      receipts,
      workers: workers.counts,
      faults: this.#stage.faults(),
      afterRestart: endings.afterRestart,
    })
    return { rows, violations }
  }

  async #phases(
    place: Place,
    journal: Journal,
    workers: WorkerPool,
    sender: Sender,
  ): Promise<Endings> {
    const rng = new Rng(this.#options.seed)
    await this.#enter('drill', journal)
    const isDrilled = await drill({ workers, sender, journal })
    if (!isDrilled) return { ...nothing, isCutShort: true }
    // What the drill has shown of a planted fault need not be shown again; and nobody knows how the
    // run would end.
    const isPlanted = this.#options.mutant !== undefined
    if (isPlanted && violationsOf(historyOf(await journal.read())).length > 0) return nothing

    await this.#enter('chaos', journal)
    await this.#strike(place, journal, workers, sender)

    await this.#enter('calm', journal)
    // Until every event is marked for certain: a 200 may have come while the store was away.
    const inTheEnd = await repeatAll(sender, rng)
    const stuck = inTheEnd.filter(({ outcome }) => outcome !== 'duplicate')
    await workers.close()
    if (stuck.length > 0) return { ...nothing, stuck }

    await this.#enter('restart', journal)
    await workers.start()
    const afterRestart = await repeatAll(sender, rng)
    await workers.close()
    await this.#enter('end', journal)
    return { ...nothing, afterRestart }
  }

  async #strike(
    place: Place,
    journal: Journal,
    workers: WorkerPool,
    sender: Sender,
  ): Promise<void> {
    const { store, seconds, isOneRound, seed } = this.#options
    const rng = new Rng(seed)
    const over = new AbortController()
    const { signal } = over
    const { proxies } = this.#stage
    const stage = { journal, workers, proxies, signal }
    const isInFile = store === 'sqlite'
    const onLocked = () => this.#stage.count('lock')
    const round: Round = {
      halted: 1,
      haltMs: 1.5 * leaseMs,
      killed: [0, 2],
      last: async () => {
        if (isInFile) await lockFileTwice(place, stage, onLocked)
      },
    }
    const striking = isOneRound
      ? [strikeOnce(stage, round)]
      : [
          strikeWorkers(stage, rng.fork(1), pace),
          isInFile
            ? lockFile(place, stage, rng.fork(2), onLocked)
            : strikeNetwork(stage, rng.fork(2)),
        ]
    const loading = load(sender, rng.fork(3), signal)
    const isOver = isOneRound ? [] : [pause(seconds * 1_000)]
    await Promise.race([...isOver, ...striking, loading])
    over.abort()
    await Promise.all(striking)
    await loading
  }

  async #choosePlace(): Promise<Place> {
    const name = `chaos_${randomBytes(6).toString('hex')}`
    const url = this.#options.url ?? (await mkdtemp(join(tmpdir(), 'ringhook-chaos-')))
    return { url, name }
  }

  async #enter(phase: PhaseLine['phase'], journal: Journal): Promise<void> {
    this.#options.onPhase(phase)
    await journal.append({ kind: 'phase', phase })
  }
}
