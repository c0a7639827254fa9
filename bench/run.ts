/**
 * The benchmarks: `npm run bench`, or `npm run bench -- pipeline http` for some of them; with
 * `stores` or `inbox` also the names of some stores or inboxes.
 *
 * Every figure is a ratio to something measured beside it, in turns and in the same minute: the
 * times of two machines, or of one machine on two days, say nothing about ringhook.
 */
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { root } from './build.ts'
import { compare } from './guard.ts'
import { measureHttp } from './http/report.ts'
import { frameworks } from './http/subjects.ts'
import { inboxNames, measureInboxes } from './inboxes/report.ts'
import { machineOf } from './machine.ts'
import { measurePipeline } from './pipeline/report.ts'
import { plotsOf } from './plots.ts'
import {
  type BenchOptions,
  majorOf,
  type PlacedReport,
  pageOf,
  type Report,
  textOf,
} from './report.ts'
import { measureScale } from './scale/report.ts'
import { measureSoak } from './soak/report.ts'
import { measureStart } from './start/report.ts'
import { measureStores, storeNames } from './stores/report.ts'

type Bench = (options: BenchOptions) => Promise<Report>

const benches: Readonly<Record<string, Bench>> = {
  pipeline: measurePipeline,
  http: measureHttp,
  start: measureStart,
  stores: measureStores,
  inbox: measureInboxes,
  scale: measureScale,
  soak: measureSoak,
}
const partsOf: Readonly<Record<string, readonly string[]>> = {
  stores: storeNames,
  inbox: inboxNames,
  http: frameworks,
}
const usage = `npm run bench -- [${Object.keys(benches).join(' | ')}]… [--quick] [--json] [--guard]`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
    guard: { type: 'boolean', default: false },
    /** For the test. */
    wrong: { type: 'boolean', default: false },
  },
})
const names = positionals.filter((word) => word in benches)
const parts = positionals.filter((word) => !(word in benches))
const problem = problemOf()

if (problem !== undefined) {
  console.error(`${problem}\n${usage}`)
  process.exitCode = 1
} else {
  for (const name of names.length === 0 ? Object.keys(benches) : names) await run(name)
}

function problemOf(): string | undefined {
  const [name = '', ...others] = names
  const known = partsOf[name]
  if (parts.length === 0) return undefined
  if (others.length > 0 || known === undefined) return `No benchmark is called ${parts.join(' ')}.`
  const unknown = parts.filter((part) => !known.some((of) => of === part || isKindOf(of, part)))
  if (unknown.length === 0) return undefined
  return `No part of ${name} is called ${unknown.join(' ')}. There are: ${known.join('; ')}.`
}

/** `redis` stands for `redis, ioredis` and the other. */
function isKindOf(name: string, part: string): boolean {
  return name.startsWith(`${part},`)
}

async function run(name: string): Promise<void> {
  console.error(`${name} …`)
  const known = partsOf[name] ?? []
  const chosen = known.filter((of) => parts.some((part) => part === of || isKindOf(of, part)))
  const options = { parts: chosen, isQuick: values.quick, isWrong: values.wrong }
  const measured = await benches[name]?.(options)
  if (measured === undefined) return
  const report: PlacedReport = { machine: machineOf(root), ...measured }
  console.log(values.json ? JSON.stringify(report) : `\n${textOf(report)}\n`)
  if (values.guard) await guard(report)
  else if (!values.quick && chosen.length === 0) await write(report)
}

/** Writes the report of a whole run where it is published, as a page with its plots and as JSON. */
async function write(report: PlacedReport): Promise<void> {
  const folder = folderOf(report)
  await mkdir(folder, { recursive: true })
  const plots = plotsOf(report)
  const files = plots.map(
    (_, index) => `${report.name}${plots.length > 1 ? `-${index + 1}` : ''}.svg`,
  )
  for (const [index, svg] of plots.entries()) await writeFile(`${folder}${files[index]}`, svg)
  await writeFile(`${folder}${report.name}.md`, pageOf(report, files))
  await writeFile(`${folder}${report.name}.json`, `${JSON.stringify(report, null, 1)}\n`)
  console.error(`Written to ${folder.slice(root.length)}${report.name}.md.`)
}

/** Fails when a ratio is worse than the published one by more than its noise. */
async function guard(report: PlacedReport): Promise<void> {
  const file = `${folderOf(report)}${report.name}.json`
  const reference = await referenceIn(file)
  if (reference === undefined) {
    console.error(
      `guard: there is no ${file.slice(root.length)} to compare with. A run without --guard writes it.`,
    )
    process.exitCode = 1
    return
  }
  const { compared, regressions } = compare(report, reference)
  for (const { figure, was, is, noise } of regressions) {
    console.error(
      `guard: worse: ${figure}: ${is.toFixed(2)}, and was ${was.toFixed(2)} (noise ${(100 * noise).toFixed(0)} %)`,
    )
  }
  console.error(
    `guard: ${compared} ratios of ${report.name} compared, ${regressions.length} worse.`,
  )
  if (regressions.length > 0 || compared === 0) process.exitCode = 1
}

async function referenceIn(file: string): Promise<Report | undefined> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Report
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function folderOf({ machine }: PlacedReport): string {
  return `${root}docs/performance/node-${majorOf(machine.node)}/`
}
