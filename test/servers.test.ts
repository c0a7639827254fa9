import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  afterAll,
  afterEach,
  beforeAll,
  describe,
  expect,
  inject,
  it,
  onTestFinished,
  vi,
} from 'vitest'
import { type FoundServers, findServers, type ServerName } from './helpers/find-servers.ts'
import { silenceOf } from './helpers/ping-server.ts'
import { freePort } from './helpers/redis-instance.ts'
import { programsOf, serverFolders, startServer } from './helpers/start-server.ts'

const names = ['redis', 'postgres', 'mysql', 'rabbitmq', 'nats'] as const
const variables = {
  redis: 'REDIS_URL',
  postgres: 'DATABASE_URL',
  mysql: 'MYSQL_URL',
  rabbitmq: 'RABBITMQ_URL',
  nats: 'NATS_URL',
}
const schemes = {
  redis: 'redis',
  postgres: 'postgres',
  mysql: 'mysql',
  rabbitmq: 'amqp',
  nats: 'nats',
}

describe('findServers', () => {
  const folder = mkdtempSync(join(tmpdir(), 'ringhook-servers-'))
  /** Takes connections and says nothing. */
  const mute = createServer()
  /** Says what no server says. */
  const rude = createServer((socket) => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n'))
  let closedPort = 0

  beforeAll(async () => {
    const closed = await listening(createServer())
    closedPort = portOf(closed)
    closed.close()
    await Promise.all([listening(mute), listening(rude)])
  })
  afterAll(() => {
    mute.close()
    rude.close()
    rmSync(folder, { recursive: true })
  })

  /** Servers are started in here until the test is over: beside this one others may start some. */
  function ownTemporaryFolder(): string {
    const temporary = mkdtempSync(join(folder, 'temporary-'))
    // A server may run as another user.
    for (const path of [folder, temporary]) chmodSync(path, 0o755)
    vi.stubEnv('TMPDIR', temporary)
    return temporary
  }
  afterEach(() => vi.unstubAllEnvs())

  /** Where nothing answers on the usual ports and nothing is installed. */
  const nowhere = () => ({ env: {}, ports: allAt(closedPort), folders: [] })

  it('lists each server that neither answers nor is installed, in one line with a remedy', async () => {
    const { urls, missing, stop } = await findServers(nowhere())
    await stop()
    expect(urls).toEqual({})
    expect(missing).toHaveLength(names.length)
    for (const [index, name] of names.entries()) {
      const why = name === 'rabbitmq' ? 'not started by the tests' : 'not installed'
      expect(missing[index]).toMatch(new RegExp(`^${name}: .*${why}.*set ${variables[name]}`))
      expect(missing[index]).not.toContain('\n')
    }
  })

  it('fails with CI=true where a server is missing, and says what to do', async () => {
    const { env, ...rest } = nowhere()
    await expect(findServers({ env: { ...env, CI: 'true' }, ...rest })).rejects.toThrow(
      /With CI=true every database must be there\. redis: .*set REDIS_URL.*\npostgres: .*\nmysql: (?!.*\n(?:rabbitmq|nats):)/,
    )
  })

  it.each(names)(
    'fails where the variable of %s is set and nothing answers there',
    async (name) => {
      const url = `${schemes[name]}://somebody:hidden@127.0.0.1:${closedPort}/test`
      const finding = findServers({ ...nowhere(), env: { [variables[name]]: url } })
      await expect(finding).rejects.toThrow(
        `${variables[name]} is set, and ${name} does not answer`,
      )
      await expect(finding).rejects.not.toThrow('hidden')
    },
  )

  it('takes an empty variable for one that is not set', async () => {
    const { missing } = await findServers({ ...nowhere(), env: { REDIS_URL: '' } })
    expect(missing).toHaveLength(names.length)
  })

  it.concurrent.each(names)('takes what only listens for no %s', async (name) => {
    const urls = [mute, rude].map((server) => `${schemes[name]}://127.0.0.1:${portOf(server)}/test`)
    for (const silence of await Promise.all(urls.map((url) => silenceOf(name, url)))) {
      expect(silence).toMatch(/./)
    }
  })

  it('finds the programs of a server on the PATH and beside it, and needs all of them', () => {
    for (const program of ['postgres', 'initdb']) {
      expect(programsOf('postgres', folder)).toBeUndefined()
      symlinkSync(process.execPath, join(folder, program))
    }
    const programs = [join(folder, 'postgres'), join(folder, 'initdb')]
    expect(programsOf('postgres', `/nowhere:${folder}`)).toEqual(programs)
    expect(programsOf('redis', folder)).toBeUndefined()
    writeFileSync(join(folder, 'redis-server'), 'not a program', { mode: 0o644 })
    expect(programsOf('redis', folder)).toBeUndefined()
  })

  it('lists a server that is installed and does not start, with what it said', async () => {
    const broken = mkdtempSync(join(tmpdir(), 'ringhook-broken-'))
    const script = '#!/bin/sh\necho "the port is on fire" >&2\nexit 3\n'
    writeFileSync(join(broken, 'redis-server'), script, { mode: 0o755 })
    const temporary = ownTemporaryFolder()
    const { urls, missing } = await findServers({ ...nowhere(), folders: [broken] })
    rmSync(broken, { recursive: true })
    expect(urls).toEqual({})
    expect(missing[0]).toMatch(/^redis: .*could not be started.*ended with code 3.*port is on fire/)
    expect(readdirSync(temporary)).toEqual([])
  })

  const path = [process.env['PATH'] ?? '', ...serverFolders()].join(':')
  const servers = inject('servers')
  for (const name of names) {
    const url = servers[name]
    it.skipIf(url === undefined)(`uses the ${name} that a variable names`, async () => {
      const { urls, stop } = await findServers({ ...nowhere(), env: { [variables[name]]: url } })
      await stop()
      expect(urls).toEqual({ [name]: url })
    })

    // NATS without users takes any name.
    if (name === 'nats') continue
    it.skipIf(url === undefined)(
      `does not take a ${name} that refuses the user or the database for one that answers`,
      async () => {
        const wrong = new URL(url ?? '')
        wrong.username = 'nobody_of_that_name'
        wrong.password = 'wrong'
        wrong.pathname = name === 'redis' ? '' : '/no_such_database'
        expect(await silenceOf(name, String(wrong))).toMatch(/./)
      },
    )
  }

  it.skipIf(programsOf('nats', path) === undefined)(
    'does not take a NATS without JetStream for one',
    async () => {
      const port = await freePort()
      const [program = ''] = programsOf('nats', path) ?? []
      const child = spawn(program, ['-a', '127.0.0.1', '-p', String(port)], { stdio: 'ignore' })
      onTestFinished(() => void child.kill('SIGKILL'))
      const silence = () => silenceOf('nats', `nats://127.0.0.1:${port}`)
      await expect.poll(silence, { timeout: 10_000 }).toMatch(/jetstream/i)
    },
  )

  it.skipIf(process.platform === 'win32')(
    'does not wait for a server that dies of a signal',
    async () => {
      const temporary = ownTemporaryFolder()
      const crashing = scriptIn(temporary, 'kill -KILL $$')
      await expect(startServer('nats', [crashing])).rejects.toThrow('it ended with SIGKILL')
      expect(readdirSync(temporary)).toEqual(['server'])
    },
  )

  it.skipIf(programsOf('nats', path) === undefined)(
    'does not start a server again and again that dies of a signal each time',
    async () => {
      const temporary = ownTemporaryFolder()
      const [nats = ''] = programsOf('nats', path) ?? []
      const server = await startServer('nats', [scriptIn(temporary, `exec ${nats} "$@"`)])
      onTestFinished(() => server.stop())
      await server.kill()
      scriptIn(temporary, 'kill -KILL $$')
      await expect(server.restart()).rejects.toThrow('it ended with SIGKILL')
    },
  )

  const installed = names.filter((name) => programsOf(name, path) !== undefined)

  it.skipIf(installed.length === 0)(
    'starts its own where a server is installed and does not answer, and leaves nothing behind',
    { timeout: 120_000 },
    async () => {
      const temporary = ownTemporaryFolder()
      let found: FoundServers | undefined
      try {
        found = await findServers({ env: { PATH: path }, ports: allAt(closedPort) })
        expect(Object.keys(found.urls).sort()).toEqual([...installed].sort())
        for (const name of installed) {
          expect(await silenceOf(name, found.urls[name] ?? '')).toBeUndefined()
          expect(found.urls[name]).not.toBe(servers[name])
        }
        expect(readdirSync(temporary)).toHaveLength(installed.length)
      } finally {
        await found?.stop()
      }
      for (const name of installed) {
        expect(await silenceOf(name, found.urls[name] ?? '')).toMatch(/./)
      }
      expect(readdirSync(temporary)).toEqual([])
    },
  )
})

/** Writes a server's program, or another in its place. */
function scriptIn(folder: string, line: string): string {
  const file = join(folder, 'server')
  writeFileSync(file, `#!/bin/sh\n${line}\n`, { mode: 0o755 })
  return file
}

function allAt(port: number): Record<ServerName, number> {
  return { redis: port, postgres: port, mysql: port, rabbitmq: port, nats: port }
}

async function listening(server: Server): Promise<Server> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return server
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
