import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { run } from './process.ts'

/** The consumer names these packages for this platform only. */
const hasOtherRuntimes = process.platform === 'linux' && process.arch === 'x64'
if (!hasOtherRuntimes) {
  console.log(
    'not run: sqliteStore and sqliteInbox under Node 22, 24 and 26, Bun and Deno, which need linux x64',
  )
}

/** better-sqlite3 13 ends the process of a Node before 22.14, which has no version 10 of Node-API. */
const combinations = ['22-oldest', '22', '24', '26'].flatMap((node) =>
  ['node:sqlite', 'node:sqlite with BigInts and arrays', 'better-sqlite3']
    .filter((driver) => !(node === '22-oldest' && driver === 'better-sqlite3'))
    .map((driver) => [driver, node] as const),
)

/** The inbox waits for real time in its contract, and is run on fewer of them. */
const withInbox = [
  'node:sqlite 22-oldest',
  'node:sqlite 26',
  'node:sqlite with BigInts and arrays 24',
  'better-sqlite3 24',
]

describe.runIf(hasOtherRuntimes)('sqliteStore and sqliteInbox of the packed package', () => {
  let folder: string

  beforeAll(async () => {
    const room = await mkdtemp(join(tmpdir(), 'ringhook-sqlite-'))
    folder = join(room, 'consumer')
    afterAll(() => rm(room, { recursive: true, force: true }))
    const consumer = fileURLToPath(new URL('consumers/sqlite', import.meta.url))
    await cp(consumer, folder, { recursive: true })
    const { stdout } = await run('npm', ['pack', '--silent', '--pack-destination', room])
    const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']
    const install = () => run('npm', ['install', ...quiet, join(room, stdout.trim())], folder)
    // A second try is for the registry and for npm, which has been seen to stand still.
    await install().catch(install)
  })

  it.concurrent.each(combinations)('keeps the contract on %s and Node %s', async (driver, name) => {
    const node = join(folder, 'node_modules', `node-${name}`, 'bin', 'node')
    const isWithInbox = withInbox.includes(`${driver} ${name}`)
    const parts = isWithInbox ? ['inbox'] : []
    const { stdout } = await run(node, ['consumer.mjs', driver, ...parts], folder)

    expect(JSON.parse(stdout)).toEqual({
      version: expect.stringMatching(`^v${Number.parseInt(name, 10)}\\.`),
      ...wholeReport(driver, isWithInbox),
    })
  })

  it.concurrent.each([
    ['bun:sqlite', 'Bun', ['@oven/bun-linux-x64', 'bin', 'bun'], []],
    ['node:sqlite', 'Bun', ['@oven/bun-linux-x64', 'bin', 'bun'], []],
    ['node:sqlite', 'Deno', ['@deno/linux-x64-glibc', 'deno'], ['run', '-A']],
  ])('keeps the contracts on %s and %s', async (driver, name, path, args) => {
    const runtime = join(folder, 'node_modules', ...path)
    const { stdout } = await run(runtime, [...args, 'consumer.mjs', driver, 'inbox'], folder)

    expect(JSON.parse(stdout)).toEqual({
      version: expect.stringMatching(/^v\d/),
      [name.toLowerCase()]: expect.stringMatching(/^\d/),
      ...wholeReport(driver, true),
    })
  })
})

/** What a consumer reports when every rule holds. */
function wholeReport(driver: string, isWithInbox: boolean): Readonly<Record<string, unknown>> {
  return {
    brokenRules: [],
    ...(isWithInbox && { brokenInboxRules: [] }),
    transaction: [
      ...[true, 'in_flight'],
      ...[true, 'in_flight'],
      ...[true, 'completed'],
      'RINGHOOK_TRANSACTION_INVALID',
    ],
    patience: ['claimed', 'claimed'],
    failures: [
      'RINGHOOK_STORE_READ_ONLY',
      'RINGHOOK_STORE_NOT_MIGRATED',
      'RINGHOOK_STORE_UNREACHABLE',
      // The other drivers cannot open a database again.
      ...(driver.startsWith('node:sqlite') ? ['claimed'] : []),
    ],
  }
}
