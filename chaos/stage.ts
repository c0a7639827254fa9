import { FaultyProxy } from './proxy.ts'
import type { WorkerPool } from './worker-pool.ts'

/** What every run stands on: its processes, its proxies, and what is to be taken away at its end. */
export class Stage {
  readonly proxies: FaultyProxy[] = []
  /** Faults that no proxy counts. */
  readonly counts: Record<string, number> = {}
  /** Whether processes may be killed at any moment. */
  isStriking = false
  readonly #leftovers: (() => Promise<unknown>)[] = []
  #workers: WorkerPool | undefined

  /** For a status line, while it runs. */
  get status(): string {
    const { kills = 0, stops = 0 } = this.#workers?.counts ?? {}
    return `${kills} kills, ${stops} stops`
  }

  enter(workers: WorkerPool): WorkerPool {
    this.#workers = workers
    return workers
  }

  /** Has something done at the end, after what was asked for later. */
  atEnd(take: () => Promise<unknown>): void {
    this.#leftovers.push(take)
  }

  /** Opens a proxy for each worker: a fault may hit one of them alone. Gives the URLs of the proxies. */
  async openProxies(url: string, count: number): Promise<string[]> {
    const server = new URL(url)
    const to = { host: server.hostname, port: Number(server.port) }
    const urls: string[] = []
    for (let slot = 0; slot < count; slot++) {
      const proxy = await FaultyProxy.open(to)
      this.proxies.push(proxy)
      this.atEnd(() => proxy.close())
      const through = new URL(url)
      through.hostname = '127.0.0.1'
      through.port = String(proxy.port)
      urls.push(through.href)
    }
    return urls
  }

  count(fault: string): void {
    this.counts[fault] = (this.counts[fault] ?? 0) + 1
  }

  /** How often each fault struck. */
  faults(): Record<string, number> {
    const counts = { ...this.counts }
    for (const { hits } of this.proxies) {
      for (const [fault, times] of Object.entries(hits)) {
        counts[fault] = (counts[fault] ?? 0) + times
      }
    }
    return counts
  }

  /** Ends every process at once, and does not wait. */
  killAll(): void {
    this.#workers?.killAll()
  }

  /** Ends everything, and leaves nothing behind. Also in the middle of a run. */
  async end(): Promise<void> {
    this.killAll()
    for (const take of this.#leftovers.splice(0).reverse()) await take()
  }
}
