/**
 * What `npm test` runs, each step named by what it proves: the checks beside each other, and then
 * the tests. Further arguments go to Vitest: `npm test -- --reporter=verbose`.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'

const checks = [
  ['the code has one style and no known mistakes', 'biome', 'check', '.', '--error-on-warnings'],
  ['every file, export and dependency is used', 'knip'],
  ['the types hold', 'tsc', '--noEmit'],
] as const

const isSound = await Promise.all(checks.map(check))
if (isSound.includes(false)) process.exit(1)
console.log('→ the tests pass')
const tests = start('vitest', ['run', ...process.argv.slice(2)], 'inherit')
const [status] = await once(tests, 'close')
process.exit(status ?? 1)

/** Runs a check, prints what it says when it is over, and returns whether it found nothing. */
async function check([claim, command, ...args]: (typeof checks)[number]): Promise<boolean> {
  const child = start(command, args, ['ignore', 'pipe', 'pipe'])
  let said = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      said += text
    })
  }
  const [code] = await once(child, 'close')
  console.log(`→ ${claim}${code === 0 ? '' : ': no'}\n${said.trimEnd()}`)
  return code === 0
}

function start(
  command: string,
  args: readonly string[],
  stdio: 'inherit' | ['ignore', 'pipe', 'pipe'],
) {
  // npm put node_modules/.bin on the path; on Windows a command there is a .cmd file.
  return spawn(command, args, { stdio, shell: process.platform === 'win32' })
}
