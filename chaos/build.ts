import { randomUUID } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { build } from 'tsup'

/** The programs of the workers as JavaScript: they are started so often that compiling would be the load. */
export interface Programs {
  readonly folder: string
  readonly worker: string
  readonly inboxWorker: string
  readonly watchdog: string
  /** Whether they were built for this run alone, and go with it. */
  readonly areOwned: boolean
  remove(): Promise<void>
}

/** Builds them. */
export async function buildPrograms(): Promise<Programs> {
  // Below the repository, where node_modules is found; runs beside this one have theirs.
  const folder = pathOf(`../.tmp/chaos-${randomUUID()}`)
  await build({
    config: false,
    entry: {
      worker: pathOf('worker.ts'),
      'inbox-worker': pathOf('inboxes/worker.ts'),
      watchdog: pathOf('watchdog.ts'),
    },
    tsconfig: pathOf('../tsconfig.json'),
    outDir: folder,
    format: ['esm'],
    target: 'node20',
    dts: false,
    silent: true,
    noExternal: [/^ringhook/],
  })
  return {
    ...builtPrograms(folder),
    areOwned: true,
    remove: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Returns those that were built into a folder before. Whoever built them removes them. */
export function builtPrograms(folder: string): Programs {
  return {
    folder,
    worker: `${folder}/worker.js`,
    inboxWorker: `${folder}/inbox-worker.js`,
    watchdog: `${folder}/watchdog.js`,
    areOwned: false,
    remove: async () => {},
  }
}

function pathOf(file: string): string {
  return fileURLToPath(new URL(file, import.meta.url))
}
