import { fileURLToPath } from 'node:url'
import { build } from 'tsup'

const target = fileURLToPath(new URL('../.tmp/bench', import.meta.url))

/**
 * Builds the library together with what is measured beside it, with the settings that it ships
 * with, and gives the folder. Not run from the source: tsx keeps the names of functions, which
 * costs a call for every closure.
 */
export async function buildSubjects(): Promise<string> {
  await build({
    entry: ['bench/pipeline.ts', 'bench/subjects/server.ts'],
    outDir: target,
    format: ['esm'],
    dts: false,
    silent: true,
    external: [/^[^./]/],
  })
  return target
}
