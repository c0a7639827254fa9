import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { Socket } from 'node:net'
import { generate } from 'selfsigned'
import { portOf } from '../../examples/shared/program.ts'

/** Answers one request, in whatever way. */
export type Fault = (request: ReceivedRequest, response: ServerResponse) => void

/** A request as it came. */
export interface ReceivedRequest {
  readonly method: string
  readonly url: string
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** An API that fails as it is told: each request takes the next of its faults, and the last one stays. */
export class FaultServer {
  readonly requests: ReceivedRequest[] = []
  readonly #sockets = new Set<Socket>()
  readonly #server
  #faults: readonly Fault[] = [gone]

  private constructor(server: ReturnType<typeof createServer>) {
    this.#server = server
    server.on('connection', (socket) => {
      this.#sockets.add(socket)
      socket.once('close', () => this.#sockets.delete(socket))
    })
    server.on('request', (request, response) => void this.#take(request, response))
  }

  static async start(): Promise<FaultServer> {
    return await listening(new FaultServer(createServer()))
  }

  /** With a certificate that nobody signed. */
  static async startUntrusted(): Promise<FaultServer> {
    const { private: key, cert } = await generate([{ name: 'commonName', value: 'localhost' }])
    return await listening(new FaultServer(createTlsServer({ key, cert })))
  }

  get port(): number {
    return portOf(this.#server)
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}/v1`
  }

  /** From here on. */
  answers(...faults: readonly Fault[]): void {
    this.requests.length = 0
    this.#faults = faults
  }

  listen(): void {
    this.#server.listen(0, '127.0.0.1')
  }

  async opened(): Promise<void> {
    await once(this.#server, 'listening')
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy()
    this.#server.close()
    await once(this.#server, 'close')
  }

  async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
    let body = ''
    for await (const chunk of request.setEncoding('utf8')) body += chunk
    const { method = '', url = '', headers } = request
    const received = { method, url, headers, body }
    const fault = this.#faults[Math.min(this.requests.length, this.#faults.length - 1)] ?? gone
    this.requests.push(received)
    fault(received, response)
  }
}

/** An answer with a status, and a body of JSON or of text. */
export function answer(
  status: number,
  body?: unknown,
  headers: Readonly<Record<string, string>> = {},
): Fault {
  return (_request, response) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }
}

/** The connection breaks before the answer. */
export const gone: Fault = (_request, response) => void response.socket?.destroy()

/** There is no answer, and no end. */
export const silent: Fault = () => {}

/** The answer begins, and does not end. */
export const halting: Fault = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json' })
  response.write('[{"id":')
}

/** The answer is shorter than it said that it would be. */
export const cut: Fault = (_request, response) => {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '1000' })
  response.write('[{"id":"wh_1","secret":"the secret of a webhook"', () => response.destroy())
}

async function listening(server: FaultServer): Promise<FaultServer> {
  server.listen()
  await server.opened()
  return server
}
