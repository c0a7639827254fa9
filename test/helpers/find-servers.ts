import { type ServerName, silenceOf } from './ping-server.ts'
import { programsOf, type StartedServer, serverFolders, startServer } from './start-server.ts'

export type { ServerName } from './ping-server.ts'

/** Where each server answers, as a URL that its drivers take. */
export type ServerUrls = { readonly [Name in ServerName]?: string }

/** Where to look. */
export interface FindOptions {
  /** Default: the environment of this process. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /** The port where each server is looked for when its variable is not set. Default: its usual one. */
  readonly ports?: { readonly [Name in ServerName]?: number }
  /** Where programs are looked for, beside the PATH. Default: where Debian and others put servers. */
  readonly folders?: readonly string[]
}

export interface FoundServers {
  readonly urls: ServerUrls
  /** One line for each server that is not there. */
  readonly missing: readonly string[]
  /** Ends the servers that were started for the tests. */
  stop(): Promise<void>
}

interface Place {
  readonly name: ServerName
  readonly variable: string
  readonly port: number
  /** What it takes to start one. Without it none is started here. */
  readonly program?: string
  /** Whether only an example needs it: then it may be missing with `CI=true` too. */
  readonly isForExamples?: true
  urlAt(port: number): string
}

const places: readonly Place[] = [
  {
    name: 'redis',
    variable: 'REDIS_URL',
    port: 6379,
    program: 'redis-server',
    urlAt: (port) => `redis://127.0.0.1:${port}`,
  },
  {
    name: 'postgres',
    variable: 'DATABASE_URL',
    port: 5432,
    program: 'postgres and initdb',
    urlAt: (port) => `postgres://postgres@127.0.0.1:${port}/test`,
  },
  {
    name: 'mysql',
    variable: 'MYSQL_URL',
    port: 3306,
    program: 'mariadbd and mariadb-install-db',
    urlAt: (port) => `mysql://root@127.0.0.1:${port}/test`,
  },
  {
    name: 'rabbitmq',
    variable: 'RABBITMQ_URL',
    port: 5672,
    isForExamples: true,
    urlAt: (port) => `amqp://guest:guest@127.0.0.1:${port}`,
  },
  {
    name: 'nats',
    variable: 'NATS_URL',
    port: 4222,
    program: 'nats-server',
    isForExamples: true,
    urlAt: (port) => `nats://127.0.0.1:${port}`,
  },
]

/**
 * Finds the servers that the variables name, or that answer on their usual ports, and starts the
 * others where they are installed.
 *
 * @throws {Error} when a variable names a server that does not answer; with `CI=true` when one that the library works with is missing.
 */
export async function findServers(options: FindOptions = {}): Promise<FoundServers> {
  const { env = process.env } = options
  const found = await Promise.all(places.map((place) => find(place, options, env)))
  const started = found.flatMap((one) => ('started' in one ? [one.started] : []))
  const missing = found.flatMap((one) => ('missing' in one ? [one.missing] : []))
  const refused = found.flatMap((one) => ('refused' in one ? [one.refused] : []))
  const stop = async () => {
    await Promise.all(started.map((server) => server.stop()))
  }
  const needed = found.flatMap((one, index) =>
    'missing' in one && !places[index]?.isForExamples ? [one.missing] : [],
  )
  const reasons = env['CI'] === 'true' ? [...refused, ...needed] : refused
  if (reasons.length > 0) {
    await stop()
    const rule = refused.length > 0 ? '' : 'With CI=true every database must be there. '
    throw new Error(rule + reasons.join('\n'))
  }
  const urls: { [Name in ServerName]?: string } = {}
  for (const [index, { name }] of places.entries()) {
    const one = found[index]
    if (one !== undefined && 'url' in one) urls[name] = one.url
  }
  return { urls, missing, stop }
}

/** A server that answers, perhaps one that was started; or why there is none. */
type Found =
  | { readonly url: string }
  | { readonly url: string; readonly started: StartedServer }
  | { readonly missing: string }
  | { readonly refused: string }

async function find(
  { name, variable, port: usualPort, program, urlAt }: Place,
  { ports = {}, folders = serverFolders() }: FindOptions,
  env: NonNullable<FindOptions['env']>,
): Promise<Found> {
  const named = env[variable]
  if (named !== undefined && named !== '') {
    const silence = await silenceOf(name, named)
    if (silence === undefined) return { url: named }
    // Somebody asked for it. The URL may hold a password, and is not shown.
    const why = `${variable} is set, and ${name} does not answer there: ${silence}.`
    return { refused: `${why} Start it, correct ${variable}, or unset it.` }
  }
  const port = ports[name] ?? usualPort
  const silence = await silenceOf(name, urlAt(port))
  if (silence === undefined) return { url: urlAt(port) }
  const remedy = `Start one there, or set ${variable}.`
  if (program === undefined) {
    const why = `does not answer on port ${port} (${silence}), and is not started by the tests`
    return { missing: `${name}: ${why}. ${remedy}` }
  }
  const programs = programsOf(name, [env['PATH'] ?? '', ...folders].join(':'))
  if (programs === undefined) {
    const why = `does not answer on port ${port} (${silence}), and ${program} are not installed`
    return { missing: `${name}: ${why}. Install it. ${remedy}` }
  }
  try {
    const started = await startServer(name, programs)
    return { url: started.url, started }
  } catch (error) {
    const why = `is installed, but could not be started: ${oneLine(error)}`
    return { missing: `${name}: ${why}. ${remedy}` }
  }
}

function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.replaceAll(/\s+/g, ' ').trim()
}
