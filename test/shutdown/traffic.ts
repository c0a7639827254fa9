import { Agent, request } from 'node:http'
import { krosai } from 'ringhook'
import { signedRequest } from 'ringhook/testing'

export const secret = 'a secret for deploys'

/** What became of one delivery. */
export interface Sent {
  readonly callId: string
  readonly status?: number
  readonly connection?: string | undefined
  /** Why there was no answer. */
  readonly error?: string
  /** Whether it went over a connection that had carried another one. */
  readonly wasKept: boolean
}

/** Senders that each keep one connection and send one delivery after another. */
export class Traffic {
  readonly sent: Sent[] = []
  readonly #url: string
  readonly #run: string
  readonly #senders: Promise<void>[]
  readonly #onSent = new Set<() => void>()
  #isStopped = false

  constructor(url: string, run: string, senders = 8) {
    this.#url = url
    this.#run = run
    this.#senders = Array.from({ length: senders }, (_, sender) => this.#sendFor(sender))
  }

  get answers(): readonly Sent[] {
    return this.sent.filter(({ status }) => status !== undefined)
  }

  /** Resolves when that many more were answered. */
  more(answers: number): Promise<void> {
    const enough = this.answers.length + answers
    return new Promise((resolve) => {
      const look = () => {
        if (this.answers.length < enough) return
        this.#onSent.delete(look)
        resolve()
      }
      this.#onSent.add(look)
    })
  }

  /** Sends no more, as a load balancer that has noticed. Resolves when all is answered. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await this.refused
  }

  /** Resolves when every sender was refused a connection, or is stopped. */
  get refused(): Promise<unknown> {
    return Promise.all(this.#senders)
  }

  async #sendFor(sender: number): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    for (let number = 0; !this.#isStopped; number++) {
      const sent = await send(this.#url, `call_${this.#run}_${sender}_${number}`, agent)
      this.sent.push(sent)
      for (const look of this.#onSent) look()
      if (sent.error === 'ECONNREFUSED') break
    }
    agent.destroy()
  }
}

function send(url: string, callId: string, agent: Agent): Promise<Sent> {
  const { method, headers, rawBody } = signedRequest(krosai, 'call.completed', {
    secret,
    overrides: { data: { call_id: callId } },
  })
  return new Promise((resolve) => {
    const outgoing = request(url, { method, headers: { ...headers }, agent })
    outgoing.on('response', (response) => {
      const { statusCode: status = 0 } = response
      const { connection } = response.headers
      const wasKept = outgoing.reusedSocket
      response.resume().on('close', () => resolve({ callId, status, connection, wasKept }))
    })
    outgoing.on('error', (error: NodeJS.ErrnoException) => {
      resolve({ callId, error: error.code ?? error.message, wasKept: outgoing.reusedSocket })
    })
    outgoing.end(rawBody)
  })
}
