import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterAll, type TestContext } from 'vitest'
import { buildPrograms, type Programs } from '../../chaos/build.ts'
import { compiledProgram } from '../helpers/compiled-programs.ts'
import { endingOf } from '../helpers/endings.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** What the runner, or whoever runs it, may have set and the program would take to heart. */
const variablesOfOthers = /^(?:NODE_ENV|NODE_OPTIONS|FORCE_COLOR|NO_COLOR|VITEST.*)$/
const inherited = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !variablesOfOthers.test(name)),
)

/** How `npm run chaos` ended. */
export interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

/** `npm run chaos` while it runs: without npm between it and its signals. */
export interface ChaosProgram {
  /** Resolves with how it ended. Never rejects. */
  readonly ended: Promise<Ended>
  /** Resolves once the text was printed, or the program has ended. */
  printed(text: string): Promise<void>
  kill(signal: NodeJS.Signals): void
}

let programs: Promise<Programs> | undefined

afterAll(async () => await (await programs)?.remove())

/** Starts it with these arguments. The tests of a file share what it would compile each time. */
export async function startChaos(
  test: Pick<TestContext, 'onTestFinished'>,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<ChaosProgram> {
  programs ??= buildPrograms()
  const [program, { folder }] = await Promise.all([compiledProgram('chaos/chaos.ts'), programs])
  return startNode(test, [program, ...args, '--programs', folder], env)
}

/** Starts it as `npm run chaos` does, which compiles everything. */
export function startChaosFromSource(
  test: Pick<TestContext, 'onTestFinished'>,
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): ChaosProgram {
  return startNode(test, ['--import', 'tsx', 'chaos/chaos.ts', ...args], env)
}

/** The process does not outlive the test, whose context it takes: tests run beside each other. */
function startNode(
  { onTestFinished }: Pick<TestContext, 'onTestFinished'>,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): ChaosProgram {
  const child = spawn(process.execPath, args, { cwd: root, env: { ...inherited, ...env } })
  onTestFinished(() => void child.kill('SIGKILL'))
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  const ended = once(child, 'close').then(() => ({ code: child.exitCode, stdout, stderr }))
  return {
    ended,
    async printed(text) {
      while (!stdout.includes(text) && endingOf(child) === undefined) {
        await Promise.race([once(child.stdout, 'data'), ended])
      }
    },
    kill: (signal) => void child.kill(signal),
  }
}
