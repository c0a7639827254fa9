import { Agent, type IncomingMessage, type OutgoingHttpHeaders, request } from 'node:http'
import { connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'

/** A whole answer as a sender gets it. */
export interface WireAnswer {
  readonly status: number
  /** Names in lower case, repeated ones joined with ", ". */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  readonly body: string
}

/** What to send. */
export interface WireRequest {
  /** Default: POST. */
  readonly method?: string
  /** Query, as in `?token=…`. Default: none. */
  readonly query?: string
  readonly headers?: OutgoingHttpHeaders
  readonly body?: Uint8Array
  /** Sends the body in chunks, without a declared length. */
  readonly chunked?: boolean
  /** The connections to use. Default: one that is closed after the answer. */
  readonly agent?: Agent | false
}

/** A request whose body is still being sent. */
export interface OpenRequest {
  /** Sends some bytes; resolves when the system has taken them. */
  write(bytes: Uint8Array): Promise<void>
  end(bytes?: Uint8Array): void
  /** Breaks the connection off. */
  leave(): Promise<void>
  /** Rejects if the connection ends before the whole answer was read. */
  readonly answer: Promise<WireAnswer>
}

/** Sends a request as most clients do: it reads the answer as soon as it comes. */
export function send(url: string, { body, chunked, ...rest }: WireRequest): Promise<WireAnswer> {
  const length = body === undefined || chunked === true ? {} : { 'content-length': body.length }
  const open = begin(url, { ...rest, headers: { ...length, ...rest.headers } })
  open.end(body)
  return open.answer
}

/** Sends the head of a request and leaves the body to the caller. */
export function begin(
  url: string,
  {
    method = 'POST',
    query = '',
    headers = {},
    agent = false,
  }: Omit<WireRequest, 'body' | 'chunked'>,
): OpenRequest {
  const outgoing = request(`${url}${query}`, { method, headers, agent })
  const closed = new Promise<void>((resolve) => outgoing.on('close', resolve))
  const answer = new Promise<WireAnswer>((resolve, reject) => {
    outgoing.on('error', reject)
    outgoing.on('response', (response) => readAnswer(response).then(resolve, reject))
  })
  // A caller that leaves does not ask for the answer.
  answer.catch(() => {})
  outgoing.flushHeaders()
  return {
    answer,
    write: (bytes) =>
      new Promise((resolve, reject) => {
        outgoing.write(bytes, (error) => (error ? reject(error) : resolve()))
      }),
    end: (bytes) => {
      outgoing.end(bytes)
    },
    leave: () => {
      outgoing.destroy()
      return closed
    },
  }
}

/** Connections that stay open for the next request: one at a time. */
export function keptConnection(): Agent {
  return new Agent({ keepAlive: true, maxSockets: 1 })
}

/** The head of a request, as it goes over the wire. `framing` says how long the body is. */
export function headOf(url: string, connection: string, framing: string): string {
  const { host, pathname } = new URL(url)
  return `POST ${pathname} HTTP/1.1\r\nhost: ${host}\r\nconnection: ${connection}\r\n${framing}\r\n\r\n`
}

/**
 * Sends bytes as a client does that writes all of its request before it reads: proxies and blocking
 * clients work like that.
 */
export function writeThenRead(url: string, bytes: Uint8Array): Promise<WireAnswer> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname)
    socket.on('error', reject)
    socket.write(bytes, () => readAnswerFrom(socket, () => socket.destroy()).then(resolve, reject))
  })
}

/**
 * Sends `head` and then `part` over and over until the other side closes the connection. Returns
 * the answer, if any.
 */
export function sendForEver(
  url: string,
  head: string,
  part: Uint8Array,
): Promise<WireAnswer | undefined> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  const pour = () => {
    while (socket.writable && socket.write(part));
  }
  socket.write(head)
  socket.on('drain', pour)
  // How the other side cuts it off does not matter.
  socket.on('error', () => {})
  pour()
  return readAnswerFrom(socket).catch(() => undefined)
}

/** Reads until the connection is closed, and says when the whole answer is there. */
function readAnswerFrom(socket: Socket, whenWhole?: () => void): Promise<WireAnswer> {
  return new Promise((resolve, reject) => {
    let received = ''
    socket.setEncoding('latin1')
    socket.on('data', (part: string) => {
      received += part
      if (parseAnswer(received) !== undefined) whenWhole?.()
    })
    socket.on('close', () => {
      const answer = parseAnswer(received)
      if (answer === undefined) reject(new Error('The connection ended without a whole answer.'))
      else resolve(answer)
    })
  })
}

async function readAnswer(response: IncomingMessage): Promise<WireAnswer> {
  const { statusCode = 0, headers } = response
  return { status: statusCode, headers, body: await text(response) }
}

/** Reads an answer that declares its length, or returns `undefined` while some of it is missing. */
function parseAnswer(received: string): WireAnswer | undefined {
  const end = received.indexOf('\r\n\r\n')
  if (end === -1) return undefined
  const [statusLine = '', ...lines] = received.slice(0, end).split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()]
    }),
  )
  const body = received.slice(end + 4)
  const status = Number(statusLine.split(' ')[1])
  if (status === 100) return parseAnswer(body)
  return body.length >= Number(headers['content-length']) ? { status, headers, body } : undefined
}
