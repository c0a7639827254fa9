import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** What a test runner puts into the environment. It must not follow into programs of a user. */
const runnerVariables = /^(?:NODE_ENV|NODE_OPTIONS|FORCE_COLOR|NO_COLOR|TEST|VITEST.*)$/
const env = Object.fromEntries(
  Object.entries(process.env).filter(([name]) => !runnerVariables.test(name)),
)

/** What a program printed. */
export interface Output {
  readonly stdout: string
  readonly stderr: string
}

/**
 * Runs a program to its end, by default in the root of the repository.
 *
 * @throws {Error} with what it printed, if it fails.
 */
export function run(command: string, args: readonly string[], cwd = root): Promise<Output> {
  return new Promise((resolve, reject) => {
    // A program that stands still is ended, or it would outlive the tests.
    const limits = { maxBuffer: 32 * 1024 * 1024, timeout: 240_000 }
    execFile(command, args, { cwd, env, ...limits }, (error, stdout, stderr) => {
      if (error === null) return resolve({ stdout, stderr })
      const printed = `${stdout}\n${stderr}`.slice(0, 8_000)
      reject(new Error(`${command} ${args.join(' ')} failed in ${cwd}\n${printed}`))
    })
  })
}
