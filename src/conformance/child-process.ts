import { fork, type ChildProcess as NodeProcess } from 'node:child_process'
import { once } from 'node:events'

/** A file that a contract starts as a process of its own. */
export interface ProgramFile {
  /** The file. */
  readonly module: string | URL
  /** Options for Node, such as `['--import', 'tsx']` for a program in TypeScript. Default: none. */
  readonly execArgv?: readonly string[]
}

type Reply = { readonly result: unknown } | { readonly error: string }

/** Answers requests in a process that a {@link ChildProcess} started. */
export function answerRequests(answer: (request: unknown) => Promise<unknown>): void {
  // Database connections would keep it alive after its parent has exited.
  process.once('disconnect', () => process.exit())
  process.on('message', (message: { readonly ringhook?: number; readonly request?: unknown }) => {
    const { ringhook: id, request } = message
    if (id === undefined || request === undefined) return
    answer(request).then(
      (result) => process.send?.({ ringhook: id, result }),
      (error: unknown) => process.send?.({ ringhook: id, error: String(error) }),
    )
  })
}

/** A process that answers requests until it is killed. */
export class ChildProcess {
  readonly #child: NodeProcess
  readonly #waiting = new Map<number, (reply: Reply) => void>()
  #asked = 0

  constructor({ module, execArgv = [] }: ProgramFile) {
    this.#child = fork(module, { execArgv: [...execArgv], serialization: 'advanced' })
    this.#child.on('message', (message: Reply & { readonly ringhook: number }) => {
      this.#waiting.get(message.ringhook)?.(message)
      this.#waiting.delete(message.ringhook)
    })
    this.#child.once('exit', (code, signal) => this.#endAll(`ended with ${signal ?? code}`))
    this.#child.once('error', (error) => this.#endAll(String(error)))
  }

  ask(request: unknown): Promise<unknown> {
    const id = this.#asked++
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, (reply) => {
        if ('error' in reply) reject(new Error(`the program says: ${reply.error}`))
        else resolve(reply.result)
      })
      this.#child.send({ ringhook: id, request }, (error) => {
        if (error !== null) this.#endAll(String(error))
      })
    })
  }

  /** Kills it and resolves once it has exited. */
  async kill(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return
    const ended = once(this.#child, 'exit')
    this.#child.kill('SIGKILL')
    await ended
  }

  #endAll(why: string): void {
    for (const settle of this.#waiting.values()) settle({ error: why })
    this.#waiting.clear()
  }
}
