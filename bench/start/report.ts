import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'tsup'
import manifest from '../../package.json' with { type: 'json' }
import { root } from '../build.ts'
import { peerVersions } from '../machine.ts'
import {
  type Aim,
  type BenchOptions,
  figureOf,
  type Report,
  type Row,
  type Section,
} from '../report.ts'
import { ratios } from '../statistics.ts'
import { install, pack, packagesIn, run, sizeOf } from './project.ts'

/** What an entry costs that is imported in a process of its own. */
interface Import {
  readonly cpuMs: number
  readonly wallMs: number
  readonly rss: number
  readonly heap: number
}

interface Subject {
  readonly name: string
  /** What is imported, and what had been before and does not count. */
  readonly entry: string
  readonly after: readonly string[]
  /** For what it costs beyond what comes before. */
  readonly aim?: Aim
}

const entries = Object.keys(manifest.exports)
  .filter((name) => name !== './package.json')
  .map((name) => `ringhook${name.slice(1)}`)
const frameworks = ['zod', 'express', 'koa', 'fastify']
const peers = Object.keys(peerVersions(root))
const beyondAim: Aim = { atMost: 9 }

/** What a process runs: it imports what does not count, then what does. */
const program = `
const [after, entry] = JSON.parse(process.argv[1])
for (const name of after) await import(name)
globalThis.gc()
const memory = process.memoryUsage()
const cpu = process.cpuUsage()
const startedAt = performance.now()
if (entry !== '') await import(entry)
const wallMs = performance.now() - startedAt
const { user, system } = process.cpuUsage(cpu)
const { rss } = process.memoryUsage()
globalThis.gc()
const heap = process.memoryUsage().heapUsed - memory.heapUsed
console.log(JSON.stringify({ cpuMs: (user + system) / 1_000, wallMs, rss: rss - memory.rss, heap }))
`

/** Measures what it costs to install and to import ringhook and its peers. */
export async function measureStart({ isQuick }: BenchOptions): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), 'ringhook-bench-'))
  try {
    const packed = await pack(folder)
    const project = join(folder, 'project')
    const wanted = frameworks.map((name) => `${name}@${versionOf(name)}`)
    await install(project, [packed, ...wanted, ...peers.map(peerWithVersion)])
    return {
      name: 'start',
      title: 'Start: what an import, an installation and a bundle take',
      sections: [
        await importsOf(project, isQuick ? 2 : 15),
        ...(isQuick ? [] : [await installsOf(folder, packed)]),
        await bundlesOf(project, folder),
      ],
    }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function importsOf(project: string, rounds: number): Promise<Section> {
  const subjects: readonly Subject[] = [
    { name: 'nothing', entry: '', after: [] },
    ...[...frameworks, ...entries, ...peers].map((name) => ({ name, entry: name, after: [] })),
    {
      name: 'ringhook/express, beyond zod and express',
      entry: 'ringhook/express',
      after: ['zod', 'express'],
      aim: beyondAim,
    },
  ]
  const taken = new Map(subjects.map(({ name }) => [name, [] as Import[]]))
  for (let round = -1; round < rounds; round++) {
    for (const subject of round % 2 === 0 ? subjects : subjects.toReversed()) {
      const one = await imported(project, subject)
      if (round >= 0) taken.get(subject.name)?.push(one)
    }
  }
  const of = (name: string, what: keyof Import) => (taken.get(name) ?? []).map((one) => one[what])
  return {
    title: 'an import, in a process of its own',
    columns: [
      { name: 'CPU ms', digits: 1 },
      { name: '÷ zod', better: 'less' },
      { name: 'ms', digits: 1 },
      { name: 'RSS MiB', digits: 1 },
      { name: 'heap MiB', digits: 1 },
    ],
    rows: subjects.map(({ name, aim }) => ({
      name,
      figures: {
        'CPU ms': figureOf(of(name, 'cpuMs'), aim),
        '÷ zod': figureOf(ratios(of(name, 'cpuMs'), of('zod', 'cpuMs'))),
        ms: figureOf(of(name, 'wallMs')),
        'RSS MiB': figureOf(of(name, 'rss').map(mebibytes)),
        'heap MiB': figureOf(of(name, 'heap').map(mebibytes)),
      },
    })),
    plot: { kind: 'bars', column: 'CPU ms' },
    notes: [
      `Median of ${rounds} processes each. What ringhook's entries take is zod's for the most part.`,
    ],
  }
}

async function imported(project: string, { entry, after }: Subject): Promise<Import> {
  const words = ['--expose-gc', '--input-type=module', '--eval', program]
  const output = await run(process.execPath, [...words, JSON.stringify([after, entry])], {
    cwd: project,
    env: { ...process.env, NODE_ENV: 'production' },
  })
  return JSON.parse(output) as Import
}

async function installsOf(folder: string, packed: string): Promise<Section> {
  const rows: Row[] = []
  for (const [name, wanted] of [
    ['ringhook, with zod', packed] as const,
    ...peers.map((peer) => [peer, peerWithVersion(peer)] as const),
  ]) {
    const project = join(folder, `install-${rows.length}`)
    await install(project, [wanted])
    rows.push({
      name,
      figures: {
        packages: figureOf([await packagesIn(project)]),
        MiB: figureOf([mebibytes(await sizeOf(join(project, 'node_modules')))]),
      },
    })
  }
  return {
    title: 'an installation',
    columns: [
      { name: 'packages', digits: 0, better: 'less' },
      { name: 'MiB', digits: 1, better: 'less' },
    ],
    rows,
    plot: { kind: 'bars', column: 'MiB' },
  }
}

async function bundlesOf(project: string, folder: string): Promise<Section> {
  const rows: Row[] = []
  for (const name of [...entries, ...peers]) {
    const alone = await bundled(project, folder, name, false)
    const whole = await bundled(project, folder, name, true)
    rows.push({
      name,
      figures: { 'own kB': figureOf([alone / 1_000]), 'with all kB': figureOf([whole / 1_000]) },
    })
  }
  return {
    title: 'an entry as one file, minified and compressed with gzip',
    columns: [
      { name: 'own kB', digits: 1, better: 'less' },
      { name: 'with all kB', digits: 1, better: 'less' },
    ],
    rows,
    notes: ['Own: without what it imports from other packages. With all: together with that.'],
  }
}

/** Bundles an entry, and returns its compressed size in bytes. */
async function bundled(
  project: string,
  folder: string,
  name: string,
  isWhole: boolean,
): Promise<number> {
  const outDir = join(folder, 'bundles')
  const entry = join(project, 'entry.mjs')
  await writeFile(entry, `export * from '${name}'\n`)
  const own = name.startsWith('ringhook') ? /^ringhook/ : new RegExp(`^${name}`)
  await build({
    config: false,
    tsconfig: join(project, 'tsconfig.json'),
    entry: { bundle: entry },
    outDir,
    format: ['esm'],
    platform: 'node',
    target: 'node20',
    minify: true,
    silent: true,
    splitting: false,
    dts: false,
    ...(isWhole ? { noExternal: [/.*/] } : { noExternal: [own], external: [/^[^./]/] }),
  })
  const [file = ''] = (await readdir(outDir)).filter((one) => one.endsWith('js'))
  return gzipSync(await readFile(join(outDir, file))).length
}

function peerWithVersion(name: string): string {
  return `${name}@${peerVersions(root)[name]}`
}

function versionOf(name: string): string {
  const range = Object.entries(manifest.devDependencies).find(([known]) => known === name)?.[1]
  if (range === undefined) throw new Error(`package.json has no version of ${name}`)
  return range
}

function mebibytes(bytes: number): number {
  return bytes / 1_048_576
}
