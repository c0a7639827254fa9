/**
 * The crash proof: `npm run chaos`. Several processes share a store, or an inbox, while they are
 * killed and stopped and their connections fail; then a journal of all they did is held to what is
 * promised. docs/chaos.md explains it.
 *
 * Exits with 0 if everything held, with 1 if something did not, with 2 if it could not be run.
 */
import { type FoundServers, findServers } from '../test/helpers/find-servers.ts'
import type { StoreName } from './backends/backend.ts'
import { buildPrograms, builtPrograms } from './build.ts'
import { inboxBackendOf } from './inboxes/backend.ts'
import { installed } from './inboxes/faults.ts'
import { InboxRun } from './inboxes/run.ts'
import type { InboxName } from './inboxes/settings.ts'
import type { PhaseLine } from './journal.ts'
import { type Options, readOptions, usage } from './options.ts'
import { listOf, type Report, tableOf } from './report.ts'
import { ChaosRun } from './run.ts'
import { Screen } from './screen.ts'

/** A run of either kind. */
interface Run {
  readonly status: string
  run(): Promise<Report>
  killAll(): void
  end(): Promise<void>
}

const screen = new Screen(process.stdout, process.env)
const options = optionsOrExit()
const programs =
  options.programs === undefined ? await buildPrograms() : builtPrograms(options.programs)
let servers: FoundServers | undefined
let current: Run | undefined
let isLeaving = false

// Nothing stays behind: not after Ctrl-C, and not after a mistake in here.
process.on('exit', () => current?.killAll())
process.once('SIGINT', () => void leave(130))
process.once('SIGTERM', () => void leave(143))
process.on('uncaughtException', (error) => {
  if (isLeaving) return
  screen.end()
  console.error(error)
  void leave(2)
})

let isClean = true
for (const [store, url] of await placesFor(options)) {
  const run = new ChaosRun({ ...options, store, url, programs, onPhase })
  if (!(await prove(store, options.mutant, run))) isClean = false
}
for (const inbox of await inboxesFor(options)) {
  const run = new InboxRun({ ...options, inbox, mutant: options.inboxMutant, programs, onPhase })
  if (!(await prove(`${inbox} inbox`, options.inboxMutant, run))) isClean = false
}
await leave(isClean ? 0 : 1)

function optionsOrExit(): Options {
  try {
    return readOptions(process.argv.slice(2))
  } catch (error) {
    console.error(`${(error as Error).message}\n\n${usage}`)
    process.exit(2)
  }
}

async function prove(name: string, mutant: string | undefined, run: Run): Promise<boolean> {
  const planted = mutant === undefined ? '' : `, planted fault: ${mutant}`
  const length = options.isOneRound ? 'one round' : `${options.seconds} s`
  screen.title(`${name}: ${length}, --seed ${options.seed}${planted}`)
  current = run
  const report = await run.run()
  screen.end()
  console.log(tableOf(report))
  const holds = report.violations.length === 0
  if (!holds) console.log(`\n${listOf(report)}\n`)
  screen.verdict(holds, holds ? `${name}: every invariant held` : `${name}: violated`)
  await run.end()
  return holds
}

function onPhase(phase: PhaseLine['phase']): void {
  screen.phase(phase, () => current?.status ?? '')
}

/** The stores to prove, with their servers. What is not there is said; asked for by name it is an error. */
async function placesFor({ stores, isNamed }: Options): Promise<[StoreName, string | undefined][]> {
  if (stores.every((name) => name === 'sqlite')) return stores.map((name) => [name, undefined])
  servers = await findServers()
  const { urls, missing } = servers
  const places: [StoreName, string | undefined][] = []
  for (const name of stores) {
    if (name === 'sqlite') places.push([name, undefined])
    else if (urls[name] !== undefined) places.push([name, urls[name]])
    else if (isNamed) throw new Error(`There is no ${name} here. ${missing.join(' ')}`)
  }
  for (const line of missing) console.log(`not run: ${line}`)
  return places
}

/** The inboxes to prove: those whose server is installed, so that each run can start one to kill. */
async function inboxesFor({ inboxes, isNamed }: Options): Promise<InboxName[]> {
  const found: InboxName[] = []
  for (const inbox of inboxes) {
    const { server } = await inboxBackendOf(inbox)
    if (server === undefined || installed(server) !== undefined) {
      found.push(inbox)
      continue
    }
    const line = `${inbox}: ${server.programs} are not installed here, and a run starts its own.`
    if (isNamed) throw new Error(line)
    console.log(`not run: ${line}`)
  }
  return found
}

/** Ends everything, and then this process, whatever a driver keeps open. */
async function leave(code: number): Promise<void> {
  // What is still under way fails when its database is closed.
  if (isLeaving) return
  isLeaving = true
  current?.killAll()
  try {
    await current?.end()
    await servers?.stop()
    await programs.remove()
  } catch (error) {
    console.error(error)
  }
  process.exit(code)
}
