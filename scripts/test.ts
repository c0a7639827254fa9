/**
 * What `npm test` runs, each step named by what it proves. Further arguments go to Vitest:
 * `npm test -- --reporter=verbose`.
 */
import { spawnSync } from 'node:child_process'

const steps = [
  ['the code has one style and no known mistakes', 'biome', 'check', '.', '--error-on-warnings'],
  ['every file, export and dependency is used', 'knip'],
  ['the types hold', 'tsc', '--noEmit'],
  ['the tests pass', 'vitest', 'run', ...process.argv.slice(2)],
] as const

for (const [claim, command, ...args] of steps) {
  console.log(`→ ${claim}`)
  // npm put node_modules/.bin on the path; on Windows a command there is a .cmd file.
  const { status } = spawnSync(command, args, {
    stdio: 'inherit',
    shell: process.platform === 'win32',
  })
  if (status !== 0) process.exit(status ?? 1)
}
