import { randomBytes } from 'node:crypto'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StartedServer } from '../../test/helpers/start-server.ts'
import type { Place } from '../backends/backend.ts'
import { sqlite } from '../backends/sqlite.ts'
import type { Programs } from '../build.ts'
import type { Journal } from '../journal.ts'
import type { Report } from '../report.ts'
import { Rng } from '../rng.ts'
import { Sender } from '../sender.ts'
import { Stage } from '../stage.ts'
import { WorkerPool } from '../worker-pool.ts'
import { type InboxServer, inboxBackendOf } from './backend.ts'
import { startOwn } from './faults.ts'
import { Play, type PlayOptions } from './play.ts'
import { type InboxMutant, type InboxName, roles } from './settings.ts'

export interface InboxRunOptions extends Omit<PlayOptions, 'isPlanted'> {
  readonly inbox: InboxName
  readonly mutant: InboxMutant | undefined
  readonly programs: Programs
}

/** Of the answers 200, how many kill the process that gave them. */
const killAfterAnswer = 0.01

/** One run against one inbox. */
export class InboxRun {
  readonly #options: InboxRunOptions
  readonly #stage = new Stage()

  constructor(options: InboxRunOptions) {
    this.#options = options
  }

  /** For a status line, while it runs. */
  get status(): string {
    return this.#stage.status
  }

  async run(): Promise<Report> {
    const stage = this.#stage
    const backend = await inboxBackendOf(this.#options.inbox)
    const folder = await mkdtemp(join(tmpdir(), 'ringhook-chaos-'))
    const files: Place = { url: folder, name: `chaos_${randomBytes(6).toString('hex')}` }
    stage.atEnd(() => sqlite.erase(files))
    // In a file of its own: the server of the inbox is killed.
    const journal = await sqlite.openJournal(files)
    stage.atEnd(() => journal.close())
    const server = backend.server && (await this.#start(backend.server))
    const place = { ...files, url: server?.url ?? files.url }
    const direct = await backend.open(place, 0)
    stage.atEnd(() => direct.close())
    // The workers migrate too, but do not wait for it: through a broken network it may take long.
    await direct.store.migrate()
    await direct.inbox.migrate()
    const workers = await this.#employ(journal, files, place, server)
    const sender = this.#senderTo(workers)
    const cast = { backend, place, server, direct, journal, workers, sender, stage }
    const isPlanted = this.#options.mutant !== undefined
    return await new Play(cast, { ...this.#options, isPlanted }).report()
  }

  /** Ends every process at once, and does not wait. */
  killAll(): void {
    this.#stage.killAll()
  }

  /** Ends everything, and leaves nothing behind. Also in the middle of a run. */
  async end(): Promise<void> {
    await this.#stage.end()
  }

  async #start(own: InboxServer): Promise<StartedServer> {
    const server = await startOwn(own)
    this.#stage.atEnd(() => server.stop())
    return server
  }

  async #employ(
    journal: Journal,
    files: Place,
    place: Place,
    server: StartedServer | undefined,
  ): Promise<WorkerPool> {
    const { inbox, mutant, programs } = this.#options
    const urls = server && (await this.#stage.openProxies(server.url, roles.length))
    const slots = roles.map((role, slot) => {
      const through = { ...place, url: urls?.[slot] ?? place.url }
      const told = { inbox, role, journal: files, place: through, mutant }
      return { isDoor: role !== 'worker', told }
    })
    const { inboxWorker: worker, watchdog, areOwned } = programs
    const workers = this.#stage.enter(
      new WorkerPool({ programs: { worker, watchdog, areOwned }, slots }, journal),
    )
    workers.guard(server?.pid)
    await workers.start()
    return workers
  }

  /** Some of the processes whose 200 arrives are killed before they can do anything else. */
  #senderTo(workers: WorkerPool): Sender {
    const rng = new Rng(this.#options.seed)
    const fate = rng.fork(9)
    return new Sender(workers, rng, (slot, status) => {
      if (!this.#stage.isStriking || status !== 200 || !fate.chance(killAfterAnswer)) return
      this.#stage.count('killed after a 200')
      void workers.kill(slot)
    })
  }
}
