import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/**
 * What can be wrong between a worker and its database.
 *
 * - `refuse`: connections are reset, old and new.
 * - `delay`: everything takes longer, in both directions.
 * - `black-hole`: nothing arrives any more, and nobody is told.
 * - `cut`: the statement arrives and takes effect; the connection breaks before its reply is back.
 */
export const networkFaults = ['refuse', 'delay', 'black-hole', 'cut'] as const
export type NetworkFault = (typeof networkFaults)[number]

/** By then a client on the same machine has logged in, mostly. */
const loginMs = 50

/** A TCP proxy that fails on command. */
export class FaultyProxy {
  readonly port: number
  /** How many connections each fault has hit. */
  readonly hits: Record<NetworkFault, number> = { refuse: 0, delay: 0, 'black-hole': 0, cut: 0 }
  readonly #server: Server
  readonly #links = new Set<Link>()
  #fault: NetworkFault | undefined
  #delayMs = 0

  private constructor(server: Server, to: Address) {
    this.#server = server
    this.port = (server.address() as AddressInfo).port
    server.on('connection', (client) => this.#accept(client, to))
  }

  static async open(to: Address): Promise<FaultyProxy> {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return new FaultyProxy(server, to)
  }

  /** Begins a fault. `delayMs`: by how much, for a delay. */
  begin(fault: NetworkFault, delayMs: number): void {
    this.heal()
    this.#fault = fault
    this.#delayMs = delayMs
    for (const link of this.#links) this.#strike(link)
  }

  /**
   * Ends the fault. Connections that lost bytes in a black hole are reset, as by a firewall that
   * has forgotten them.
   */
  heal(): void {
    this.#fault = undefined
    for (const link of this.#links) link.heal()
  }

  async close(): Promise<void> {
    for (const link of this.#links) link.reset()
    await new Promise<unknown>((resolve) => this.#server.close(resolve))
  }

  #accept(client: Socket, to: Address): void {
    const link = new Link(client, connect(to))
    this.#links.add(link)
    client.once('close', () => this.#links.delete(link))
    // A cut is for statements: a client that cannot even log in is what `refuse` is for.
    if (this.#fault === 'cut') setTimeout(() => this.#strike(link), loginMs)
    else this.#strike(link)
  }

  #strike(link: Link): void {
    if (this.#fault === undefined) return
    const countHit = () => {
      if (this.#fault !== undefined) this.hits[this.#fault]++
    }
    link.suffer(this.#fault, this.#delayMs, countHit)
  }
}

export interface Address {
  readonly host: string
  readonly port: number
}

/** One connection, from a worker through the proxy to the server. */
class Link {
  readonly #client: Socket
  readonly #server: Socket
  #fault: NetworkFault | undefined
  #delayMs = 0
  #countHit = () => {}
  #hasLostBytes = false
  /** What was sent first arrives first, also where the delay has ended meanwhile. */
  readonly #queue: { readonly act: () => void; readonly dueAt: number }[] = []

  constructor(client: Socket, server: Socket) {
    this.#client = client
    this.#server = server
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      from.setNoDelay()
      from.on('data', (bytes) => this.#pass(bytes, to))
      // Late bytes still arrive, so that a statement can outlive the one who sent it.
      from.on('close', () => this.#later(() => to.destroy()))
      from.on('error', () => {})
    }
  }

  suffer(fault: NetworkFault, delayMs: number, countHit: () => void): void {
    this.#fault = fault
    this.#delayMs = delayMs
    this.#countHit = once(countHit)
    if (fault === 'refuse') this.#hit(() => this.reset())
  }

  heal(): void {
    this.#fault = undefined
    if (this.#hasLostBytes) this.reset()
  }

  reset(): void {
    this.#client.resetAndDestroy()
    this.#server.destroy()
  }

  #pass(bytes: Buffer, to: Socket): void {
    if (this.#fault === 'black-hole' || this.#hasLostBytes) {
      this.#hasLostBytes = true
      this.#hit(() => {})
    } else if (this.#fault === 'cut' && to === this.#client) {
      this.#hit(() => this.reset())
    } else {
      if (this.#fault === 'delay') this.#hit(() => {})
      this.#later(() => to.write(bytes))
    }
  }

  #hit(act: () => void): void {
    this.#countHit()
    act()
  }

  #later(act: () => void): void {
    if (this.#fault !== 'delay' && this.#queue.length === 0) {
      act()
      return
    }
    const delayMs = this.#fault === 'delay' ? this.#delayMs : 0
    this.#queue.push({ act, dueAt: performance.now() + delayMs })
    if (this.#queue.length === 1) this.#flushLater()
  }

  #flushLater(): void {
    const [next] = this.#queue
    if (next === undefined) return
    setTimeout(
      () => {
        this.#queue.shift()
        next.act()
        this.#flushLater()
      },
      Math.max(0, next.dueAt - performance.now()),
    )
  }
}

function once(act: () => void): () => void {
  let isDone = false
  return () => {
    if (!isDone) act()
    isDone = true
  }
}
