/**
 * The crash proof: `npm run chaos`. Several processes share a store while they are killed and
 * stopped and their connections fail; then a journal of all they did is held to what the store
 * promises. docs/chaos.md explains it.
 *
 * Exits with 0 if everything held, with 1 if something did not, with 2 if it could not be run.
 */
import { type FoundServers, findServers } from '../test/helpers/find-servers.ts'
import type { StoreName } from './backends/backend.ts'
import { buildPrograms } from './build.ts'
import { type Options, readOptions, stores, usage } from './options.ts'
import { listOf, tableOf } from './report.ts'
import { ChaosRun } from './run.ts'
import { Screen } from './screen.ts'

const screen = new Screen(process.stdout, process.env)
const options = optionsOrExit()
const programs = await buildPrograms()
let servers: FoundServers | undefined
let current: ChaosRun | undefined
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
  if (!(await prove(store, url, options))) isClean = false
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

async function prove(store: StoreName, url: string | undefined, given: Options): Promise<boolean> {
  const { seconds, seed, mutant } = given
  const planted = mutant === undefined ? '' : `, planted fault: ${mutant}`
  screen.title(`${store}: ${seconds} s, --seed ${seed}${planted}`)
  const run = new ChaosRun({
    store,
    url,
    seconds,
    seed,
    mutant,
    programs,
    onPhase: (phase) => screen.phase(phase, () => run.status),
  })
  current = run
  const report = await run.run()
  screen.end()
  console.log(tableOf(report))
  const holds = report.violations.length === 0
  if (!holds) console.log(`\n${listOf(report)}\n`)
  screen.verdict(holds, holds ? `${store}: every invariant held` : `${store}: violated`)
  await run.end()
  return holds
}

/** The stores to prove, with their servers. What is not there is said; asked for by name it is an error. */
async function placesFor({ store }: Options): Promise<[StoreName, string | undefined][]> {
  if (store === 'sqlite') return [[store, undefined]]
  servers = await findServers()
  const { urls, missing } = servers
  const places: [StoreName, string | undefined][] = []
  for (const name of stores) {
    if (store !== undefined && store !== name) continue
    if (name === 'sqlite') places.push([name, undefined])
    else if (urls[name] !== undefined) places.push([name, urls[name]])
    else if (store === name) throw new Error(`There is no ${name} here. ${missing.join(' ')}`)
  }
  for (const line of missing) console.log(`not run: ${line}`)
  return places
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
