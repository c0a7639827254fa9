import { fileURLToPath } from 'node:url'
import { build } from 'tsup'

/** The root of the repository, with a slash at its end. */
export const root = fileURLToPath(new URL('../', import.meta.url))

/** The programs that are measured, and those that measure in a process of their own. */
const programs = [
  'bench/http/server.ts',
  'bench/inboxes/process.ts',
  'bench/pipeline/process.ts',
  'bench/scale/process.ts',
  'bench/soak/client.ts',
  'bench/soak/server.ts',
  'bench/stores/process.ts',
]

let built: Promise<string> | undefined

/**
 * Builds the library together with the programs, with the settings that it ships with, and gives
 * the folder, with the same tree in it. Not run from the source: tsx keeps the names of functions,
 * which costs a call for every closure.
 */
export function buildPrograms(): Promise<string> {
  built ??= buildInto(`${root}.tmp/bench`)
  return built
}

async function buildInto(outDir: string): Promise<string> {
  await build({
    entry: Object.fromEntries(
      programs.map((file) => [file.replace(/^bench\/|\.ts$/g, ''), file] as const),
    ),
    outDir,
    format: ['esm'],
    dts: false,
    silent: true,
    external: [/^[^./]/],
  })
  return outDir
}
