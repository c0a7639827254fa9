import { type ChildProcess, execFile, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import {
  accessSync,
  chownSync,
  constants,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
} from 'node:fs'
import { open } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { createConnection } from 'mysql2/promise'
import { Client } from 'pg'
import { endingOf } from './endings.ts'
import { type ServerName, silenceOf } from './ping-server.ts'

/** A server that was started for the tests. */
export interface StartedServer {
  readonly url: string
  /** Of its process. */
  readonly pid: number | undefined
  /** Ends it without a farewell. */
  kill(): Promise<void>
  /** Starts it again after `kill`, on the same port and with its files. */
  restart(): Promise<void>
  /** Ends it, and removes its folder. */
  stop(): Promise<void>
}

/** How a server is started in a folder of its own. */
interface Recipe {
  /** What must be installed: the first of each that is found. */
  readonly programs: readonly (readonly string[])[]
  /** As whom, where we are root and it refuses to be. */
  readonly users?: readonly string[]
  prepare?(programs: readonly string[], folder: string): readonly string[]
  command(programs: readonly string[], folder: string, port: number): readonly string[]
  url(port: number): string
  /** The same, before the database of the tests is there. */
  firstUrl?(port: number): string
  createDatabase?(url: string): Promise<void>
  /** Ends it without waiting for its clients. */
  readonly signal: NodeJS.Signals
}

const recipes: Readonly<Record<ServerName, Recipe | undefined>> = {
  redis: {
    programs: [['redis-server', 'valkey-server']],
    command: ([server = ''], folder, port) => [
      ...[server, '--port', String(port), '--bind', '127.0.0.1', '--dir', folder],
      ...['--save', '', '--appendonly', 'no', '--daemonize', 'no'],
    ],
    url: (port) => `redis://127.0.0.1:${port}`,
    signal: 'SIGTERM',
  },
  postgres: {
    programs: [['postgres'], ['initdb']],
    users: ['postgres', 'nobody'],
    prepare: ([, initdb = ''], folder) => [
      ...[initdb, '--pgdata', join(folder, 'data'), '--username=postgres', '--auth=trust'],
      ...['--encoding=UTF8', '--locale=C', '--no-sync'],
    ],
    command: ([server = ''], folder, port) => [
      ...[server, '-D', join(folder, 'data'), '-p', String(port), '-k', folder],
      ...['-c', 'listen_addresses=127.0.0.1', '-c', 'fsync=off'],
    ],
    url: (port) => `postgres://postgres@127.0.0.1:${port}/test`,
    firstUrl: (port) => `postgres://postgres@127.0.0.1:${port}/postgres`,
    createDatabase: async (url) => {
      const client = new Client({ connectionString: url })
      await client.connect()
      await client.query('CREATE DATABASE test')
      await client.end()
    },
    signal: 'SIGINT',
  },
  mysql: {
    programs: [
      ['mariadbd', 'mysqld'],
      // Oracle's server makes its own tables.
      ['mariadb-install-db', 'mysql_install_db', 'mysqld'],
    ],
    prepare: ([, install = ''], folder) =>
      install.endsWith('mysqld')
        ? [...[install, '--no-defaults', '--initialize-insecure'], ...mysqlOptions(folder)]
        : [
            ...[install, '--no-defaults', '--auth-root-authentication-method=normal'],
            ...mysqlOptions(folder),
          ],
    command: ([server = ''], folder, port) => [
      ...[server, '--no-defaults', ...mysqlOptions(folder), '--bind-address=127.0.0.1'],
      ...[
        `--port=${port}`,
        `--socket=${join(folder, 'sock')}`,
        `--pid-file=${join(folder, 'pid')}`,
      ],
    ],
    url: (port) => `mysql://root@127.0.0.1:${port}/test`,
    firstUrl: (port) => `mysql://root@127.0.0.1:${port}`,
    createDatabase: async (url) => {
      const connection = await createConnection(url)
      await connection.query('CREATE DATABASE IF NOT EXISTS test')
      await connection.end()
    },
    signal: 'SIGTERM',
  },
  // It takes an Erlang node with a name, a cookie and a user of its own.
  rabbitmq: undefined,
  nats: {
    programs: [['nats-server']],
    command: ([server = ''], folder, port) => [
      ...[server, '-a', '127.0.0.1', '-p', String(port), '-js', '-sd', folder],
    ],
    url: (port) => `nats://127.0.0.1:${port}`,
    signal: 'SIGTERM',
  },
}

function mysqlOptions(folder: string): readonly string[] {
  const options = [`--datadir=${join(folder, 'data')}`]
  return isRoot() ? [...options, '--user=root'] : options
}

/** The programs that a server needs, with their paths, or `undefined` where one is not installed. */
export function programsOf(name: ServerName, path: string): readonly string[] | undefined {
  const recipe = recipes[name]
  if (recipe === undefined) return undefined
  const folders = path.split(delimiter).filter((folder) => folder !== '')
  const found: string[] = []
  for (const alternatives of recipe.programs) {
    const file = alternatives
      .flatMap((program) => folders.map((folder) => join(folder, program)))
      .find(isProgram)
    if (file === undefined) return undefined
    found.push(file)
  }
  return found
}

/** Where servers are installed, beside what is on the path: Debian keeps them off it. */
export function serverFolders(): readonly string[] {
  const versions = entriesOf('/usr/lib/postgresql')
  versions.sort((one, other) => Number(other) - Number(one))
  const postgres = versions.map((version) => `/usr/lib/postgresql/${version}/bin`)
  return [...postgres, '/usr/sbin', '/usr/local/sbin', '/usr/libexec']
}

/**
 * Starts a server on a free port, in a folder that goes when it is stopped.
 *
 * @param settings - Arguments of the program, after those that all tests have in common.
 */
export async function startServer(
  name: ServerName,
  programs: readonly string[],
  settings: readonly string[] = [],
): Promise<StartedServer> {
  const recipe = recipes[name]
  if (recipe === undefined) throw new Error(`${name} is not started by the tests`)
  const folder = mkdtempSync(join(tmpdir(), `ringhook-${name}-`))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  try {
    const as = isRoot() && recipe.users !== undefined ? idsOf(recipe.users) : {}
    if (as.uid !== undefined && as.gid !== undefined) chownSync(folder, as.uid, as.gid)
    const [program, ...args] = recipe.prepare?.(programs, folder) ?? []
    if (program !== undefined) await promisify(execFile)(program, args, { cwd: folder, ...as })
    return await serve(recipe, name, programs, settings, folder, as, remove)
  } catch (error) {
    remove()
    throw error
  }
}

async function serve(
  recipe: Recipe,
  name: ServerName,
  programs: readonly string[],
  settings: readonly string[],
  folder: string,
  as: Ids,
  remove: () => void,
): Promise<StartedServer> {
  const port = await freePort()
  const [program = '', ...args] = recipe.command(programs, folder, port)
  const logFile = join(folder, 'log')
  const launch = async () => {
    const log = await open(logFile, 'a')
    const stdio = ['ignore' as const, log.fd, log.fd]
    const launched = spawn(program, [...args, ...settings], { cwd: folder, stdio, ...as })
    await log.close()
    return launched
  }
  let child = await launch()
  const endAtOnce = () => {
    child.kill('SIGKILL')
    remove()
  }
  // Where the tests end without their teardown.
  process.once('exit', endAtOnce)
  async function stop(): Promise<void> {
    process.off('exit', endAtOnce)
    await end(child, recipe.signal)
    remove()
  }
  const url = recipe.url(port)
  async function restart(): Promise<void> {
    // It refuses while processes of its predecessor are on their way out.
    for (const giveUpAt = Date.now() + 60_000; ; ) {
      child = await launch()
      try {
        await untilItAnswers(name, url, child)
        return
      } catch (error) {
        // Its predecessor would not send it a signal: it crashed, or was told to end.
        if (child.signalCode !== null || Date.now() > giveUpAt) throw error
      }
    }
  }
  try {
    await untilItAnswers(name, recipe.firstUrl?.(port) ?? url, child)
    await recipe.createDatabase?.(recipe.firstUrl?.(port) ?? url)
  } catch (error) {
    const lines = readFileSync(logFile, 'utf8').trim().split('\n').slice(-3)
    await stop()
    throw new Error(`${String(error)}: ${lines.join(' / ')}`, { cause: error })
  }
  return {
    url,
    get pid() {
      return child.pid
    },
    kill: () => end(child, 'SIGKILL'),
    restart,
    stop,
  }
}

async function untilItAnswers(name: ServerName, url: string, child: ChildProcess): Promise<void> {
  let failure: Error | undefined
  child.once('error', (error) => {
    failure = error
  })
  const giveUpAt = Date.now() + 60_000
  for (;;) {
    const silence = await silenceOf(name, url)
    if (silence === undefined) return
    if (failure !== undefined) throw failure
    const ending = endingOf(child)
    if (ending !== undefined) throw new Error(`it ended with ${ending}`)
    if (Date.now() > giveUpAt) throw new Error(`it does not answer: ${silence}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  if (child.pid === undefined || endingOf(child) !== undefined) return
  const ended = once(child, 'exit')
  child.kill(signal)
  const timer = setTimeout(() => child.kill('SIGKILL'), 10_000)
  await ended
  clearTimeout(timer)
}

interface Ids {
  readonly uid?: number
  readonly gid?: number
}

/** The first of these users that the machine has. */
function idsOf(users: readonly string[]): Ids {
  for (const user of users) {
    try {
      const [uid, gid] = ['-u', '-g'].map((flag) =>
        Number(execFileSync('id', [flag, user], { stdio: ['ignore', 'pipe', 'ignore'] })),
      )
      if (uid !== undefined && gid !== undefined) return { uid, gid }
    } catch {
      // There is no such user.
    }
  }
  throw new Error(`it refuses to run as root, and there is no user ${users.join(' or ')}`)
}

function isRoot(): boolean {
  return process.getuid?.() === 0
}

function isProgram(file: string): boolean {
  try {
    accessSync(file, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder)
  } catch {
    return []
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('there is no free port')
  return address.port
}
