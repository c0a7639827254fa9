import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'

/** What a server says to a query: an error of MySQL, nothing, or that it hangs up. */
export type Answer = { readonly errno: number; readonly message: string } | 'silence' | 'hang up'

/** A server that lets everybody in, and answers every query in the same way. */
export interface WrongServer {
  readonly port: number
  answer: Answer
  /** How often it was asked something. */
  queries: number
  close(): void
}

export async function startWrongServer(answer: Answer): Promise<WrongServer> {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => {})
    socket.write(packet(0, greeting))
    socket.once('data', () => {
      socket.write(packet(2, ok))
      socket.on('data', () => {
        started.queries++
        reply(socket, started.answer)
      })
    })
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const started: WrongServer = {
    port: (server.address() as AddressInfo).port,
    answer,
    queries: 0,
    close: () => {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
  return started
}

function reply(socket: Socket, answer: Answer): void {
  if (answer === 'hang up') socket.destroy()
  else if (answer !== 'silence') socket.write(packet(1, error(answer)))
}

/** A packet of MySQL's protocol: its length, its number, and what is in it. */
function packet(number: number, payload: Buffer): Buffer {
  const head = Buffer.alloc(4)
  head.writeUIntLE(payload.length, 0, 3)
  head[3] = number
  return Buffer.concat([head, payload])
}

/** Version 10 of the protocol, and a password that is hashed in the old way. */
const greeting = Buffer.concat([
  Buffer.from('\n8.0.0\0', 'latin1'),
  Buffer.from([1, 0, 0, 0]),
  Buffer.from('12345678\0', 'latin1'),
  // What the server can do, its character set, and that it commits by itself.
  Buffer.from([0x09, 0xa2, 45, 2, 0, 0x08, 0, 21]),
  Buffer.alloc(10),
  Buffer.from('123456789012\0mysql_native_password\0', 'latin1'),
])
const ok = Buffer.from([0, 0, 0, 2, 0, 0, 0])

function error({ errno, message }: Exclude<Answer, string>): Buffer {
  const number = Buffer.alloc(2)
  number.writeUInt16LE(errno)
  return Buffer.concat([Buffer.from([0xff]), number, Buffer.from(`#HY000${message}`)])
}
