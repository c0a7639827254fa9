import { setTimeout as pause } from 'node:timers/promises'
import Database from 'better-sqlite3'
import {
  programsOf,
  type StartedServer,
  serverFolders,
  startServer,
} from '../../test/helpers/start-server.ts'
import type { Place } from '../backends/backend.ts'
import { storeFile } from '../backends/sqlite.ts'
import type { FaultStage } from '../faults.ts'
import type { FaultyProxy } from '../proxy.ts'
import type { Rng } from '../rng.ts'
import type { InboxServer } from './backend.ts'

/** The programs of a server, or `undefined` where it is not installed. */
export function installed({ name }: InboxServer): readonly string[] | undefined {
  return programsOf(name, [process.env['PATH'] ?? '', ...serverFolders()].join(':'))
}

/** Starts a server that is the run's own. */
export async function startOwn(server: InboxServer): Promise<StartedServer> {
  const programs = installed(server)
  if (programs === undefined) throw new Error(`${server.programs} are not installed here.`)
  return await startServer(server.name, programs, server.settings)
}

/** Kills the server of the run and starts it again, again and again. It runs in the end. */
export async function strikeServer(
  server: StartedServer,
  stage: FaultStage,
  rng: Rng,
  onStruck: () => void,
): Promise<void> {
  const { signal } = stage
  for (;;) {
    await pause(rng.between(2_000, 6_000), undefined, { signal }).catch(() => {})
    if (signal.aborted) return
    await crashServer(server, stage, rng.between(0, 800), onStruck)
  }
}

/** Kills the server of the run, and starts it again after a while. */
export async function crashServer(
  server: StartedServer,
  { workers, journal }: FaultStage,
  ms: number,
  onStruck: () => void,
): Promise<void> {
  await journal.append({ kind: 'fault', fault: 'crash', slots: [], ms })
  onStruck()
  const killed = server.pid
  await server.kill()
  await pause(ms)
  await server.restart()
  workers.guard(server.pid, killed)
}

/** Runs something while the proxies let nothing through: at first in silence, and then not. */
export async function whileCut(
  proxies: readonly FaultyProxy[],
  act: () => Promise<void>,
): Promise<void> {
  for (const fault of ['black-hole', 'refuse'] as const) {
    for (const proxy of proxies) proxy.begin(fault, 0)
    await act()
    for (const proxy of proxies) proxy.heal()
  }
}

/** Runs something while nobody can write into the file. */
export async function whileLocked(place: Place, act: () => Promise<void>): Promise<void> {
  const database = new Database(storeFile(place), { timeout: 20 })
  while (!isLocked(database)) await pause(20)
  await act()
  database.exec('COMMIT')
  database.close()
}

function isLocked(database: Database.Database): boolean {
  try {
    database.exec('BEGIN EXCLUSIVE')
    return true
  } catch {
    return false
  }
}
