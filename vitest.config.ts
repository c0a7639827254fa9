import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'
import { LongestFirst } from './test/helpers/longest-first.ts'

// Vitest 5 calls both when it reports a failure or saves a snapshot. Node 20 has neither, and Vitest
// would crash there without saying what failed.
supply(Map, groupBy)
supply(Object, (items: Iterable<unknown>, keyOf: (item: unknown) => PropertyKey) =>
  Object.fromEntries(groupBy(items, keyOf)),
)

const source = fileURLToPath(new URL('./src', import.meta.url))

export default defineConfig({
  resolve: {
    alias: [
      { find: /^ringhook$/, replacement: `${source}/index.ts` },
      { find: /^ringhook\/(.+)$/, replacement: `${source}/$1.ts` },
    ],
  },
  test: {
    allowOnly: false,
    dangerouslyIgnoreUnhandledErrors: false,
    // Concurrent tests mostly wait.
    maxConcurrency: 20,
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        extends: true,
        test: {
          name: 'source',
          include: ['test/**/*.test.ts', 'examples/**/*.test.ts'],
          exclude: ['test/package/**'],
          globalSetup: ['test/helpers/servers.setup.ts'],
          // No measure of speed: under load a test that starts processes takes many times as long.
          testTimeout: 60_000,
          hookTimeout: 60_000,
          // More than a small machine has cores: much of the time goes into waiting.
          maxWorkers: 3,
          // Not 0: Vitest moves a project of group 0 with one worker behind all groups.
          sequence: { groupOrder: 1 },
        },
      },
      {
        extends: true,
        test: {
          name: 'package',
          include: ['test/package/*.test.ts'],
          globalSetup: ['test/package/build.ts'],
          // Downloads and compilers: a slow network is not a failure.
          testTimeout: 600_000,
          hookTimeout: 600_000,
          maxWorkers: 2,
          // After the others: installs and compilers would take their processor time away.
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
})

function supply(owner: object, value: unknown): void {
  if (!('groupBy' in owner)) Object.defineProperty(owner, 'groupBy', { value })
}

function groupBy<Item, Key>(items: Iterable<Item>, keyOf: (item: Item) => Key): Map<Key, Item[]> {
  const groups = new Map<Key, Item[]>()
  for (const item of items) {
    const key = keyOf(item)
    const group = groups.get(key)
    if (group) group.push(item)
    else groups.set(key, [item])
  }
  return groups
}
