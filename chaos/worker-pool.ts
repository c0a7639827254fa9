import { type ChildProcess, fork } from 'node:child_process'
import { setTimeout as pause } from 'node:timers/promises'
import type { Programs } from './build.ts'
import type { Order, ProcessSettings, Ready, Wish } from './endpoint.ts'
import type { Journal, WorkerLine } from './journal.ts'
import type { WatchdogOrder } from './watchdog.ts'

/** Which processes there are. */
export interface CrewSettings {
  /** The JavaScript of the workers, and of what ends them when the run is gone. */
  readonly programs: Pick<Programs, 'worker' | 'watchdog' | 'areOwned'>
  /** One for each process. */
  readonly slots: readonly SlotSettings[]
}

/** What the processes of a slot have in common. */
export interface SlotSettings {
  /** Whether it receives deliveries. */
  readonly isDoor: boolean
  /** What its program is told, beside its name. */
  readonly told: object
}

/** One process of the application, from its start to its end. */
interface Worker {
  readonly name: string
  readonly slot: number
  readonly child: ChildProcess
  /** Resolves when it has begun, or has ended before. */
  readonly begun: Promise<unknown>
  readonly ended: Promise<void>
  isReady: boolean
  port: number | undefined
  isToEnd: boolean
  isStopped: boolean
}

/** A worker that was told to end, and has not by then, never will. */
const longestEndMs = 120_000

/** The processes of the application: one in each slot, replaced whenever it is killed. */
export class WorkerPool {
  readonly counts = { starts: 0, kills: 0, stops: 0 }
  /** What workers said that ended although nobody had told them to. */
  readonly accidents: string[] = []
  /** Resolves at the first of them. */
  readonly accident: Promise<void>
  /** The slots that receive deliveries. */
  readonly doors: readonly number[]
  #onAccident = () => {}
  readonly #settings: CrewSettings
  readonly #journal: Journal
  readonly #workers: (Worker | undefined)[]
  readonly #watchdog: ChildProcess
  /** Also those that were killed and whose end nobody has seen yet. */
  readonly #processes = new Set<ChildProcess>()
  /** Orders for all workers, also for those that start later. */
  readonly #standing: Order[] = []
  #isClosing = false

  constructor(settings: CrewSettings, journal: Journal) {
    this.#settings = settings
    this.#journal = journal
    this.#workers = settings.slots.map(() => undefined)
    this.doors = [...settings.slots.keys()].filter((slot) => settings.slots[slot]?.isDoor)
    this.accident = new Promise((resolve) => {
      this.#onAccident = resolve
    })
    const { watchdog, areOwned } = settings.programs
    this.#watchdog = fork(watchdog, areOwned ? ['owned'] : [], { execArgv: [] })
    this.#watchdog.on('error', () => {})
  }

  get slots(): number {
    return this.#workers.length
  }

  /** Starts a worker in every slot, and resolves when all of them have begun. */
  async start(): Promise<void> {
    await Promise.all(this.#workers.map((_, slot) => this.#start(slot).begun))
  }

  /** Where the slot's worker listens. `undefined`: nowhere, or it has not begun yet. */
  portOf(slot: number): number | undefined {
    return this.#workers[slot]?.port
  }

  /** Ends a worker as a crash does, and starts the next. One that has not begun yet is let be. */
  async kill(slot: number): Promise<void> {
    const worker = this.#workers[slot]
    if (worker?.isReady === true) await this.#kill(worker)
  }

  async #kill(worker: Worker): Promise<void> {
    if (worker.isToEnd) return
    this.counts.kills++
    worker.isToEnd = true
    worker.port = undefined
    worker.child.kill('SIGKILL')
    await this.#note('killed', worker)
    await worker.ended
    if (!this.#isClosing) this.#start(worker.slot)
  }

  /** Halts a worker: the whole process, with its connections open. */
  async stop(slot: number): Promise<void> {
    const worker = this.#workers[slot]
    if (worker?.isReady !== true || worker.isToEnd || worker.isStopped) return
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
    this.#orderAll({ order: 'open', event, fails: false })
  }

  /** Lets every handler finish from now on, also those of workers that start later. */
  mend(): void {
    this.#orderAll({ order: 'mend' })
  }

  /** Has a process that is no worker end with the run, instead of one that is gone. */
  guard(began: number | undefined, ended?: number): void {
    if (ended !== undefined) this.#tellWatchdog({ ended })
    if (began !== undefined) this.#tellWatchdog({ began })
  }

  /** Ends all workers as a deployment does, and kills those that do not go. */
  async close(): Promise<void> {
    await Promise.all(
      this.#workers.map(async (worker, slot) => {
        if (worker === undefined) return
        await this.continue(slot)
        worker.isToEnd = true
        this.#order(worker, { order: 'close' })
        const patience = pause(longestEndMs, true, { ref: false })
        const isHanging = await Promise.race([worker.ended.then(() => false), patience])
        if (isHanging) this.#blame(`${worker.name} did not end when it was told to`)
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
    const { programs, slots } = this.#settings
    const name = `w${slot}.${this.counts.starts++}`
    const settings: ProcessSettings = { ...slots[slot]?.told, worker: name, slot }
    // Without this process's own execArgv, which has tsx in it.
    const child = fork(programs.worker, [JSON.stringify(settings)], {
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#processes.add(child)
    if (child.pid !== undefined) this.#tellWatchdog({ began: child.pid })
    const ready = readyOf(child)
    const worker: Worker = {
      name,
      slot,
      child,
      begun: ready,
      ended: this.#end(name, child),
      isReady: false,
      port: undefined,
      isToEnd: false,
      isStopped: false,
    }
    this.#workers[slot] = worker
    for (const order of this.#standing) this.#order(worker, order)
    child.on('message', (message: Ready | Wish) => {
      if ('wish' in message) void this.#kill(worker)
    })
    void ready.then((found) => {
      if (found === undefined) return
      worker.isReady = true
      if (!worker.isToEnd) worker.port = found.port
      void this.#note('born', worker)
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
      this.#blame(`${name} ended by itself (${signal}): ${said}`)
    }
    await this.#note('ended', { name })
  }

  #blame(what: string): void {
    this.accidents.push(what)
    this.#onAccident()
  }

  #orderAll(order: Order): void {
    this.#standing.push(order)
    for (const worker of this.#workers) this.#order(worker, order)
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

/** Resolves when a process says that it has begun, or with `undefined` if it ends before. */
function readyOf(child: ChildProcess): Promise<Ready | undefined> {
  return new Promise((resolve) => {
    child.on('message', (message: Ready | Wish) => {
      if ('ready' in message) resolve(message)
    })
    child.once('exit', () => resolve(undefined))
  })
}
