import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'

/** Where a program is held, by what goes over the connection on which it writes its line. */
export type Point =
  /** Its write has not reached the database. */
  | 'before its write'
  /** It has written. What it sends next has not reached the database. */
  | 'after its write'
  /** It has written and marked. Its commit has not reached the database. */
  | 'before its commit'
  /** Its transaction is committed, and it does not know yet. */
  | 'after its commit'

/** A proxy before a database server that can hold a connection at a point of its transaction. */
export interface HoldingProxy {
  /** The URL of the database, through the proxy. */
  readonly url: string
  /** Holds the next connection that comes to the point. Resolves when it is held. */
  hold(point: Point): Promise<void>
  /** Cuts every connection. What is held goes nowhere. */
  cut(): void
  close(): void
}

/** Opens a proxy before the server of a URL. What it holds goes nowhere when the program ends. */
export async function holdingProxy(target: string): Promise<HoldingProxy> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  let trap: { readonly point: Point; spring(): void } | undefined

  function springs(point: Point | undefined): boolean {
    if (point === undefined || trap?.point !== point) return false
    trap.spring()
    trap = undefined
    return true
  }

  function cut(): void {
    for (const socket of sockets) socket.destroy()
    sockets.clear()
  }

  const listener = createServer((client) => {
    const server = connect({ host: hostname, port: Number(port) })
    for (const socket of [client, server]) sockets.add(socket)
    relay(client, server, springs)
  })
  listener.listen(0, '127.0.0.1')
  await once(listener, 'listening')
  const url = new URL(target)
  url.hostname = '127.0.0.1'
  url.port = String((listener.address() as AddressInfo).port)
  return {
    url: url.href,
    hold: (point) =>
      new Promise<void>((resolve) => {
        trap = { point, spring: resolve }
      }),
    cut,
    close() {
      listener.close()
      cut()
    },
  }
}

function relay(client: Socket, server: Socket, springs: (point?: Point) => boolean): void {
  const pointOf = pointsOfTransaction()
  let isHeld = false
  let isCommitting = false
  client.on('data', (bytes) => {
    const point = pointOf(bytes.toString('latin1'))
    isHeld ||= springs(point)
    isCommitting = point === 'before its commit'
    if (!isHeld) server.write(bytes)
  })
  server.on('data', (bytes) => {
    isHeld ||= isCommitting && springs('after its commit')
    if (!isHeld) client.write(bytes)
  })
  for (const [socket, other] of [
    [client, server],
    [server, client],
  ] as const) {
    socket.on('error', () => other.destroy())
    socket.on('close', () => other.destroy())
  }
}

/** Gives a function that says which point a connection has come to with what it sends. */
function pointsOfTransaction(): (sent: string) => Point | undefined {
  let hasBegun = false
  let hasWritten = false
  return (sent) => {
    if (/insert into ledger/i.test(sent)) {
      hasBegun = true
      hasWritten = false
      return 'before its write'
    }
    if (hasBegun && /\bcommit\b/i.test(sent)) {
      hasBegun = false
      return 'before its commit'
    }
    if (!hasBegun || hasWritten) return undefined
    hasWritten = true
    return 'after its write'
  }
}
