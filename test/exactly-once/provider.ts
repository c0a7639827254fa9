import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { krosai } from 'ringhook'
import { signedRequest } from 'ringhook/testing'
import { compiledProgram } from '../helpers/compiled-programs.ts'
import { endingOf } from '../helpers/endings.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const secret = 'a secret for tests'
const retryMs = 20

/** A program that receives. */
export interface Instance {
  readonly url: string
  /** Ends it with SIGKILL, and resolves when it is no more. */
  kill(): Promise<void>
}

const children = new Set<ChildProcess>()

/** Kills what a test that failed has left. */
export function killInstances(): void {
  for (const child of children) child.kill('SIGKILL')
}

/** Starts a receiving program on a database, and resolves when it listens. */
export async function startReceiver(file: string, database: string): Promise<Instance> {
  const env = { ...process.env, KROSAI_WEBHOOK_SECRET: secret, PORT: '0' }
  // Without a process between it and its signals.
  const program = await compiledProgram(file)
  const child = spawn(process.execPath, [program, database], { cwd: root, env })
  const ended = once(child, 'close')
  children.add(child)
  child.once('close', () => children.delete(child))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  let url: string | undefined
  while (url === undefined) {
    await Promise.race([once(child.stdout, 'data'), ended])
    url = /Listening on (\S+)\n/.exec(output)?.[1]
    const ending = endingOf(child)
    if (url === undefined && ending !== undefined) {
      throw new Error(`it ended with ${ending}: ${output}`)
    }
  }
  return {
    url,
    async kill() {
      child.kill('SIGKILL')
      await ended
    },
  }
}

/** One event, which a provider sends again until it is taken. */
export class SentEvent {
  readonly #request = signedRequest(krosai, 'call.completed', { secret })
  readonly id: string = JSON.parse(this.#request.body).id

  /** Delivers once. Gives the status and the outcome, or `no answer`. */
  async deliver(url: string): Promise<string> {
    const { method, headers, rawBody } = this.#request
    try {
      const response = await fetch(url, { method, headers, body: rawBody })
      const { outcome } = (await response.json()) as { readonly outcome: string }
      return `${response.status} ${outcome}`
    } catch {
      return 'no answer'
    }
  }

  /** Delivers until it is answered 200, to whoever is there. Gives every answer. */
  async deliverUntilTaken(urlNow: () => string | undefined): Promise<readonly string[]> {
    const answers: string[] = []
    for (;;) {
      const url = urlNow()
      if (url !== undefined) answers.push(await this.deliver(url))
      if (answers.at(-1)?.startsWith('200 ') === true) return answers
      await new Promise((resolve) => setTimeout(resolve, retryMs))
    }
  }
}
