import { type ChildProcess, fork } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import type { Programs } from './build.ts'
import type { Listening, Order, WorkerSettings } from './endpoint.ts'
import type { Journal, WorkerLine } from './journal.ts'
import type { WatchdogOrder } from './watchdog.ts'

/** What every worker is started with. */
export interface CrewSettings extends Pick<WorkerSettings, 'store' | 'url' | 'name' | 'mutant'> {
  readonly programs: Pick<Programs, 'worker' | 'watchdog'>
  /** How each slot reaches the store. */
  readonly storeUrls: readonly string[]
}

/** One process of the application, from its start to its end. */
interface Worker {
  readonly name: string
  readonly slot: number
  readonly child: ChildProcess
  /** Resolves with its port, or with `undefined` if it ends before it has one. */
  readonly listening: Promise<number | undefined>
  readonly ended: Promise<void>
  port: number | undefined
  isToEnd: boolean
  isStopped: boolean
}

/** The processes of the application: one in each slot, replaced whenever it is killed. */
export class Crew {
  readonly counts = { starts: 0, kills: 0, stops: 0 }
  /** What workers said that ended although nobody had told them to. */
  readonly accidents: string[] = []
  /** Resolves at the first of them. */
  readonly accident: Promise<void>
  #onAccident = () => {}
  readonly #settings: CrewSettings
  readonly #journal: Journal
  readonly #workers: (Worker | undefined)[]
  readonly #watchdog: ChildProcess
  /** Also those that were killed and whose end nobody has seen yet. */
  readonly #processes = new Set<ChildProcess>()
  /** Events that no handler is to hold any more. */
  readonly #opened: string[] = []
  #isClosing = false

  constructor(settings: CrewSettings, journal: Journal) {
    this.#settings = settings
    this.#journal = journal
    this.#workers = settings.storeUrls.map(() => undefined)
    this.accident = new Promise((resolve) => {
      this.#onAccident = resolve
    })
    this.#watchdog = fork(settings.programs.watchdog, [], { execArgv: [] })
    this.#watchdog.on('error', () => {})
  }

  get slots(): number {
    return this.#workers.length
  }

  /** Starts a worker in every slot, and resolves when all of them receive deliveries. */
  async start(): Promise<void> {
    const workers = this.#workers.map((_, slot) => this.#start(slot))
    await Promise.all(workers.map(({ listening }) => listening))
  }

  /** Where the slot's worker listens. `undefined`: it has not begun yet. */
  portOf(slot: number): number | undefined {
    return this.#workers[slot]?.port
  }

  /** Ends a worker as a crash does, and starts the next. One that does not listen yet is let be. */
  async kill(slot: number): Promise<void> {
    const worker = this.#workers[slot]
    if (worker?.port === undefined || worker.isToEnd) return
    this.counts.kills++
    worker.isToEnd = true
    worker.port = undefined
    worker.child.kill('SIGKILL')
    await this.#note('killed', worker)
    await worker.ended
    if (!this.#isClosing) this.#start(slot)
  }

  /** Halts a worker: the whole process, with its connections open. */
  async stop(slot: number): Promise<void> {
    const worker = this.#workers[slot]
    if (worker?.port === undefined || worker.isToEnd || worker.isStopped) return
    this.counts.stops++
    worker.isStopped = true
    worker.child.kill('SIGSTOP')
    await this.#note('stopped', worker)
  }

  async continue(slot: number): Promise<void> {
    const worker = this.#workers[slot]
    if (worker === undefined || !worker.isStopped) return
    worker.isStopped = false
    await this.#note('continued', worker)
    worker.child.kill('SIGCONT')
  }

  /** Lets the handlers of an event go on in one slot, for now: they return, or they fail. */
  openIn(slot: number, event: string, { fails = false } = {}): void {
    this.#order(this.#workers[slot], { order: 'open', event, fails })
  }

  /** Lets all handlers of an event return, also those of workers that start later. */
  open(event: string): void {
    this.#opened.push(event)
    for (const worker of this.#workers) this.#order(worker, { order: 'open', event, fails: false })
  }

  /** Ends all workers as a deployment does, and kills those that do not go. */
  async close(): Promise<void> {
    await Promise.all(
      this.#workers.map(async (worker, slot) => {
        if (worker === undefined) return
        await this.continue(slot)
        worker.isToEnd = true
        this.#order(worker, { order: 'close' })
        await Promise.race([worker.ended, pause(15_000, undefined, { ref: false })])
        worker.child.kill('SIGKILL')
        await worker.ended
        this.#workers[slot] = undefined
      }),
    )
  }

  /** Ends every process at once. For a run that is over, however it ended. */
  killAll(): void {
    this.#isClosing = true
    for (const child of this.#processes) child.kill('SIGKILL')
    this.#watchdog.kill('SIGKILL')
  }

  #start(slot: number): Worker {
    const { programs, storeUrls, ...common } = this.#settings
    const name = `w${slot}.${this.counts.starts++}`
    const settings: WorkerSettings = {
      ...common,
      worker: name,
      slot,
      storeUrl: storeUrls[slot] ?? common.url,
    }
    // Without this process's own execArgv, which has tsx in it.
    const child = fork(programs.worker, [JSON.stringify(settings)], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#processes.add(child)
    if (child.pid !== undefined) this.#tellWatchdog({ began: child.pid })
    const worker: Worker = {
      name,
      slot,
      child,
      listening: portOf(child),
      ended: this.#end(name, child),
      port: undefined,
      isToEnd: false,
      isStopped: false,
    }
    this.#workers[slot] = worker
    for (const event of this.#opened) this.#order(worker, { order: 'open', event, fails: false })
    void worker.listening.then((port) => {
      if (!worker.isToEnd) worker.port = port
      if (port !== undefined) void this.#note('born', worker)
    })
    return worker
  }

  /** Resolves when the process is gone and the journal knows. */
  async #end(name: string, child: ChildProcess): Promise<void> {
    let said = ''
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4_000)
    })
    // Also an order to a worker that is gone.
    child.on('error', () => {})
    const signal = await new Promise((resolve) =>
      child.once('close', (code, by) => resolve(by ?? code)),
    )
    this.#processes.delete(child)
    if (child.pid !== undefined) this.#tellWatchdog({ ended: child.pid })
    if (signal !== 'SIGKILL' && signal !== 0) {
      this.accidents.push(`${name} ended by itself (${signal}): ${said}`)
      this.#onAccident()
    }
    await this.#note('ended', { name })
  }

  #order(worker: Worker | undefined, order: Order): void {
    if (worker?.child.connected === true) worker.child.send(order, () => {})
  }

  #tellWatchdog(order: WatchdogOrder): void {
    if (this.#watchdog.connected) this.#watchdog.send(order, () => {})
  }

  async #note(kind: WorkerLine['kind'], { name }: { readonly name: string }): Promise<void> {
    // What happens while everything is being ended is nobody's concern.
    if (!this.#isClosing) await this.#journal.append({ kind, worker: name })
  }
}

function portOf(child: ChildProcess): Promise<number | undefined> {
  return new Promise((resolve) => {
    child.once('message', ({ port }: Listening) => resolve(port))
    child.once('exit', () => resolve(undefined))
  })
}
