import { randomBytes } from 'node:crypto'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { type Backend, backendOf, type Place, type StoreName } from './backends/backend.ts'
import type { Programs } from './build.ts'
import { Crew } from './crew.ts'
import { drill } from './drill.ts'
import type { Mutant } from './endpoint.ts'
import { lockFile, strikeNetwork, strikeWorkers } from './faults.ts'
import { type History, historyOf } from './history.ts'
import { type Ending, type Violation, violationsAtEnd, violationsOf } from './invariants.ts'
import type { Journal, PhaseLine } from './journal.ts'
import { load, repeatAll } from './load.ts'
import { FaultyProxy } from './proxy.ts'
import { Dice } from './random.ts'
import { type Receipt, Sender } from './sender.ts'

export interface RunOptions {
  readonly store: StoreName
  /** Of the server. Absent for SQLite. */
  readonly url: string | undefined
  readonly seconds: number
  readonly seed: number
  readonly mutant: Mutant | undefined
  readonly programs: Programs
  /** Told at the start of each phase. */
  onPhase(phase: PhaseLine['phase']): void
}

/** What a run did, and what it found. */
export interface RunReport {
  readonly history: History
  readonly violations: readonly Violation[]
  readonly events: number
  readonly receipts: readonly Receipt[]
  readonly workers: Crew['counts']
  readonly faults: Readonly<Record<string, number>>
  readonly afterRestart: readonly Receipt[]
}

const slots = 3

/** What is known at the end of a run beside its journal. */
interface Endings extends Pick<Ending, 'stuck' | 'afterRestart'> {
  /** The drill failed, and the phases after it were left out. */
  readonly isCutShort: boolean
}

const nothing: Endings = { stuck: [], afterRestart: [], isCutShort: false }

/** One run against one store: drill, chaos, calm, restart, verdict. */
export class ChaosRun {
  readonly #options: RunOptions
  readonly #proxies: FaultyProxy[] = []
  readonly #journals: Journal[] = []
  #backend: Backend | undefined
  #place: Place | undefined
  #crew: Crew | undefined
  #locks = 0

  constructor(options: RunOptions) {
    this.#options = options
  }

  /** For a status line, while it runs. */
  get status(): string {
    const { kills = 0, stops = 0 } = this.#crew?.counts ?? {}
    return `${kills} kills, ${stops} stops`
  }

  async run(): Promise<RunReport> {
    const { store, programs, seed, mutant } = this.#options
    const backend = await backendOf(store)
    const place = await this.#choosePlace()
    this.#backend = backend
    this.#place = place
    const journal = await backend.openJournal(place)
    this.#journals.push(journal)
    // The workers migrate too, but do not wait for it: through a broken network it may take long.
    const direct = await backend.openStore(place, 0)
    await direct.store.migrate()
    await direct.close()
    const storeUrls = await this.#openProxies(place)
    const crew = new Crew({ programs, store, ...place, mutant, storeUrls }, journal)
    this.#crew = crew
    await crew.start()
    return await this.#play(place, journal, crew, new Sender(crew, new Dice(seed)))
  }

  /** Ends every process at once, and does not wait. */
  killAll(): void {
    this.#crew?.killAll()
  }

  /** Ends everything, and leaves nothing in the database. Also in the middle of a run. */
  async end(): Promise<void> {
    this.killAll()
    await Promise.all(this.#proxies.splice(0).map((proxy) => proxy.close()))
    await Promise.all(this.#journals.splice(0).map((journal) => journal.close()))
    if (this.#backend !== undefined && this.#place !== undefined) {
      await this.#backend.erase(this.#place)
    }
  }

  async #play(place: Place, journal: Journal, crew: Crew, sender: Sender): Promise<RunReport> {
    // A worker that ends by itself is a finding, and the rest of the run would be about its absence.
    const phases = this.#phases(place, journal, crew, sender)
    const endings = await Promise.race([phases, crew.accident.then(() => nothing)])
    const { accidents } = crew
    // Before the journal is read: deliveries may still be under way.
    const receipts = [...sender.receipts]
    const history = historyOf(await journal.read())
    const violations = violationsAtEnd(history, { ...endings, receipts, accidents })
    if (endings.isCutShort && violations.length === 0) {
      throw new Error('The drill did not bring about a takeover in five attempts.')
    }
    return {
      history,
      violations,
      events: sender.events.length,
      receipts,
      workers: crew.counts,
      faults: this.#countFaults(),
      afterRestart: endings.afterRestart,
    }
  }

  async #phases(place: Place, journal: Journal, crew: Crew, sender: Sender): Promise<Endings> {
    const dice = new Dice(this.#options.seed)
    await this.#enter('drill', journal)
    const isDrilled = await drill({ crew, sender, journal })
    if (!isDrilled) return { ...nothing, isCutShort: true }
    // What the drill has shown of a planted fault need not be shown again; and nobody knows how the
    // run would end.
    const isPlanted = this.#options.mutant !== undefined
    if (isPlanted && violationsOf(historyOf(await journal.read())).length > 0) return nothing

    await this.#enter('chaos', journal)
    await this.#strike(place, journal, crew, sender)

    await this.#enter('calm', journal)
    // Until every event is marked for certain: a 200 may have come while the store was away.
    const inTheEnd = await repeatAll(sender, dice)
    const stuck = inTheEnd.filter(({ outcome }) => outcome !== 'duplicate')
    await crew.close()
    if (stuck.length > 0) return { ...nothing, stuck }

    await this.#enter('restart', journal)
    await crew.start()
    const afterRestart = await repeatAll(sender, dice)
    await crew.close()
    await this.#enter('end', journal)
    return { ...nothing, afterRestart }
  }

  async #strike(place: Place, journal: Journal, crew: Crew, sender: Sender): Promise<void> {
    const { store, seconds, seed } = this.#options
    const dice = new Dice(seed)
    const over = new AbortController()
    const { signal } = over
    const stage = { place, journal, crew, proxies: this.#proxies, signal }
    const striking = [
      strikeWorkers(stage, dice.fork(1)),
      store === 'sqlite'
        ? lockFile(stage, dice.fork(2), () => void this.#locks++)
        : strikeNetwork(stage, dice.fork(2)),
    ]
    const loading = load(sender, dice.fork(3), signal)
    await Promise.race([pause(seconds * 1_000), ...striking, loading])
    over.abort()
    await Promise.all(striking)
    await loading
  }

  async #choosePlace(): Promise<Place> {
    const name = `chaos_${randomBytes(6).toString('hex')}`
    const url = this.#options.url ?? (await mkdtemp(join(tmpdir(), 'ringhook-chaos-')))
    return { url, name }
  }

  /** A proxy for each worker: a fault may hit one of them alone. Gives the URLs of the proxies. */
  async #openProxies({ url }: Place): Promise<string[]> {
    if (this.#options.store === 'sqlite') return Array.from({ length: slots }, () => url)
    const server = new URL(url)
    const to = { host: server.hostname, port: Number(server.port) }
    const urls: string[] = []
    for (let slot = 0; slot < slots; slot++) {
      const proxy = await FaultyProxy.open(to)
      this.#proxies.push(proxy)
      const through = new URL(url)
      through.hostname = '127.0.0.1'
      through.port = String(proxy.port)
      urls.push(through.href)
    }
    return urls
  }

  async #enter(phase: PhaseLine['phase'], journal: Journal): Promise<void> {
    this.#options.onPhase(phase)
    await journal.append({ kind: 'phase', phase })
  }

  #countFaults(): Record<string, number> {
    if (this.#options.store === 'sqlite') return { lock: this.#locks }
    const counts: Record<string, number> = {}
    for (const { hits } of this.#proxies) {
      for (const [fault, count] of Object.entries(hits)) {
        counts[fault] = (counts[fault] ?? 0) + count
      }
    }
    return counts
  }
}
