import { fileURLToPath } from 'node:url'
import { build } from 'tsup'

/** Builds the library together with the pipeline and the servers that are measured. */
export function buildSubjects(): Promise<string> {
  return buildInto('bench', ['bench/pipeline.ts', 'bench/subjects/server.ts'])
}

/** Builds the stores together with what they are measured against. */
export function buildStores(): Promise<string> {
  return buildInto('bench-stores', ['bench/store-process.ts'])
}

/** Builds the inboxes together with the engines that they are measured against. */
export function buildInboxes(): Promise<string> {
  return buildInto('bench-inboxes', ['bench/inbox-process.ts'])
}

/**
 * Builds with the settings that the library ships with, and gives the folder. Not run from the
 * source: tsx keeps the names of functions, which costs a call for every closure.
 */
async function buildInto(name: string, entry: string[]): Promise<string> {
  const target = fileURLToPath(new URL(`../.tmp/${name}`, import.meta.url))
  await build({
    entry,
    outDir: target,
    format: ['esm'],
    dts: false,
    silent: true,
    external: [/^[^./]/],
  })
  return target
}
