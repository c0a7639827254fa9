import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'
import { compiledProgram } from '../helpers/compiled-programs.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** What the runner, or whoever runs it, may have set and the programs would take to heart. */
const variablesOfOthers =
  /^(?:NODE_ENV|NODE_OPTIONS|FORCE_COLOR|NO_COLOR|TEST|VITEST.*|PORT|KROSAI_WEBHOOK_SECRET|RINGHOOK_DB)$/
const inherited = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !variablesOfOthers.test(name)),
)

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

export interface ProgramOptions {
  readonly args?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A program that runs beside the test, and not longer. */
export class Program {
  readonly ended: Promise<Ended>
  readonly #child: ChildProcessWithoutNullStreams
  readonly #onOutput = new Set<() => void>()
  #stdout = ''
  #stderr = ''

  constructor(command: string, args: readonly string[], env: ProgramOptions['env'] = {}) {
    const child = spawn(command, args, { cwd: root, env: { ...inherited, ...env } })
    this.#child = child
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      this.#stdout += text
      for (const look of this.#onOutput) look()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    this.ended = new Promise((resolve, reject) => {
      child.once('error', reject)
      child.once('close', (code, signal) => {
        resolve({ code, signal, stdout: this.#stdout, stderr: this.#stderr })
      })
    })
    onTestFinished(() => void child.kill('SIGKILL'))
  }

  /** Resolves once what was printed matches. Rejects if the program ends before. */
  printed(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(this.#stdout)
        if (match === null) return
        this.#onOutput.delete(look)
        resolve(match)
      }
      this.#onOutput.add(look)
      look()
      void this.ended.then(({ code, signal, stdout, stderr }) => {
        reject(
          new Error(
            `ended with ${signal ?? code} before it printed ${pattern}\n${stdout}\n${stderr}`,
          ),
        )
      }, reject)
    })
  }

  /** Writes a line to the program's input. */
  type(line: string): void {
    this.#child.stdin.write(`${line}\n`)
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal)
  }
}

/** Starts a TypeScript program of this repository, without a process between it and its signals. */
export async function start(
  file: string,
  { args = [], env }: ProgramOptions = {},
): Promise<Program> {
  return new Program(process.execPath, [await compiledProgram(file), ...args], env)
}

/** Runs a TypeScript program of this repository to its end. */
export async function runToEnd(file: string, options?: ProgramOptions): Promise<Ended> {
  return await (await start(file, options)).ended
}
