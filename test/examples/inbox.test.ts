import { randomBytes } from 'node:crypto'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import pg from 'pg'
import { krosai, type SentName } from 'ringhook'
import { type SignedRequest, signedRequest } from 'ringhook/testing'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import type { JournalEntry } from '../../examples/inbox/journal.ts'
import { post } from '../helpers/deliveries.ts'
import { describeOn } from '../helpers/servers.ts'
import documented from '../vectors/krosai-samples.json' with { type: 'json' }
import { type Program, runToEnd, start } from './program.ts'

const secret = 'a secret for tests'
/** What everything of these tests is called, in databases that others use too. */
const name = `inbox_example_${randomBytes(6).toString('hex')}`
/** For a machine that is busy. pg-boss gives a worker up after 10 s at the earliest. */
const patience = { timeout: 60_000, interval: 50 }

vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 })

describe('the inbox example on sqlite', () => {
  worksOn('sqlite', {}, async (folder) => existsSync(join(folder, 'ringhook.db')))
})

describeOn('redis', 'the inbox example on bullmq', (url) => {
  const redis = new Redis(url, { lazyConnect: true })
  afterAll(async () => {
    const keys = [...(await redis.keys(`bull:${name}:*`)), ...(await redis.keys(`${name}:*`))]
    if (keys.length > 0) await redis.unlink(...keys)
    redis.disconnect()
  })
  worksOn('bullmq', { REDIS_URL: url }, async () => (await redis.exists(`bull:${name}:meta`)) === 1)
})

describeOn('postgres', 'the inbox example on pg-boss', (url) => {
  const pool = new pg.Pool({ connectionString: url, max: 1 })
  afterAll(async () => {
    await pool.query(`drop schema if exists ${name} cascade`)
    await pool.end()
  })
  worksOn('pg-boss', { DATABASE_URL: url }, async () => {
    const { rows } = await pool.query('select to_regclass($1) is not null as "isThere"', [
      `${name}.job`,
    ])
    return rows[0].isThere
  })
})

/** The same tests, on whatever INBOX says. */
function worksOn(
  engine: string,
  address: Readonly<Record<string, string>>,
  isUsed: (folder: string) => Promise<boolean>,
): void {
  let env: Readonly<Record<string, string>> = {}
  let folder = ''

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'ringhook-inbox-'))
    env = {
      ...address,
      INBOX: engine,
      KROSAI_WEBHOOK_SECRET: secret,
      PORT: '0',
      RINGHOOK_NAME: name,
      RINGHOOK_DB: join(folder, 'ringhook.db'),
      RINGHOOK_LEASE_MS: '1000',
      JOURNAL_FILE: join(folder, 'journal.jsonl'),
    }
  })
  afterAll(() => rmSync(folder, { recursive: true }))

  async function startServer(...args: string[]) {
    const program = await start('examples/inbox/server.ts', { env, args })
    const [, url = ''] = await program.printed(/Listening on (\S+)\n/)
    return { program, url }
  }

  async function startWorker(journal = 'well'): Promise<Program> {
    const program = await start('examples/inbox/worker.ts', { env: { ...env, JOURNAL: journal } })
    await program.printed(/Working\n/)
    return program
  }

  async function administer(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await runToEnd('examples/inbox/admin.ts', { env, args })
    expect([code, stderr]).toEqual([0, ''])
    return stdout
  }

  it('answers at once, and has another process handle every documented payload once', async () => {
    const { program, url } = await startServer()
    const worker = await startWorker()
    const requests = documented.map(({ event }) =>
      signedRequest(krosai, event as SentName<typeof krosai>, { secret }),
    )

    for (const request of requests) expect(await deliver(url, request)).toEqual(accepted)
    await vi.waitFor(async () => {
      expect(timesIn(await journalOf(url), requests)).toEqual(requests.map(() => 1))
    }, patience)
    // A repeat is kept again, or known to be kept, and changes nothing.
    for (const request of requests) expect((await deliver(url, request))[0]).toBe(200)
    await nothingWaits()
    expect(timesIn(await journalOf(url), requests)).toEqual(requests.map(() => 1))
    await endWell(program, worker)
    expect(await isUsed(folder)).toBe(true)
  })

  it('has what a killed worker ran finished by another', async () => {
    const { url } = await startServer()
    const killed = await startWorker('slow')
    const request = completed()
    expect(await deliver(url, request)).toEqual(accepted)
    await killed.printed(new RegExp(`${idOf(request)}: attempt 1 begins`))

    killed.kill('SIGKILL')
    await killed.ended
    expect(timesIn(await journalOf(url), [request])).toEqual([0])
    const worker = await startWorker()

    await worker.printed(new RegExp(`${idOf(request)}: attempt 2 handled, completed`))
    await nothingWaits()
    expect(timesIn(await journalOf(url), [request])).toEqual([1])
  })

  it('parks what fails as dead letters, which an operator lists, replays and discards', async () => {
    const { url } = await startServer()
    const failing = await startWorker('down')
    const requests = [completed(), completed(), completed()]
    for (const request of requests) expect(await deliver(url, request)).toEqual(accepted)
    for (const request of requests) {
      await failing.printed(new RegExp(`${idOf(request)}: attempt 4 failed, dead`))
    }
    await endWell(failing)

    const list = await administer('list')
    for (const request of requests) {
      expect(list).toContain(`call.completed ${idOf(request)}, dead after attempt 4`)
    }
    expect(list).toContain('RINGHOOK_HANDLER_FAILED: ')
    expect(list).not.toContain('the journal is down')
    expect(timesIn(await journalOf(url), requests)).toEqual([0, 0, 0])

    const [discarded = '', replayed = ''] = list.match(/^krosai~[\w.~-]+$/gm) ?? []
    expect(await administer('discard', discarded)).toBe('Discarded\n')
    expect(await administer('discard', discarded)).toMatch(/^There is none/)
    expect(await administer('replay', replayed)).toBe('Replayed: 1\n')
    expect(await administer('replay', 'all')).toBe('Replayed: 1\n')
    expect(await administer('list')).toBe('No dead letters\n')
    const worker = await startWorker()
    await worker.printed(/(?:attempt 1 handled, completed\n[\s\S]*){2}/)
    await nothingWaits()

    expect(timesIn(await journalOf(url), requests).sort()).toEqual([0, 1, 1])
  })

  it('is one program with --worker', async () => {
    const { program, url } = await startServer('--worker')
    const request = completed()

    expect(await deliver(url, request)).toEqual(accepted)
    await program.printed(new RegExp(`${idOf(request)}: attempt 1 handled, completed`))

    expect(timesIn(await journalOf(url), [request])).toEqual([1])
    await endWell(program)
  })

  /** Waits until the inbox has nothing left to do. */
  async function nothingWaits(): Promise<void> {
    await vi.waitFor(async () => {
      expect(JSON.parse(await administer('stats'))).toEqual({
        ...{ waiting: 0, running: 0, delayed: 0, dead: 0 },
        oldestAgeMs: 0,
      })
    }, patience)
  }
}

describe('the programs of the inbox example', () => {
  it('have one line that chooses the engine, and their page shows it', () => {
    const [, line = ''] = /```ts\n(.*)\n```/.exec(textOf('README.md')) ?? []
    expect(textOf('inbox.ts').split('\n')).toContain(line)
    for (const file of ['receiver.ts', 'server.ts', 'worker.ts', 'admin.ts']) {
      expect(textOf(file)).not.toMatch(/sqlite|bullmq|redis|postgres|pg-boss/i)
    }
  })

  it.each([
    ['an engine that it does not know', { INBOX: 'kafka' }, /^INBOX is "kafka"\. Set it to one of/],
    [
      'a missing secret',
      { INBOX: 'sqlite', RINGHOOK_DB: ':memory:' },
      /KROSAI_WEBHOOK_SECRET|secret/,
    ],
  ])('refuse %s', async (_, env, problem) => {
    const { code, stdout, stderr } = await runToEnd('examples/inbox/worker.ts', { env })

    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toMatch(problem)
    expect(stderr).not.toContain('    at ')
  })
})

const accepted = [200, 'accepted']

function textOf(file: string): string {
  return readFileSync(new URL(`../../examples/inbox/${file}`, import.meta.url), 'utf8')
}

/** A call of its own: those of one call would run one after another. */
function completed(): SignedRequest {
  const overrides = { data: { call_id: `call_${randomBytes(6).toString('hex')}` } }
  return signedRequest(krosai, 'call.completed', { secret, overrides })
}

async function deliver(url: string, request: SignedRequest) {
  const { status, body } = await post(url, request)
  return [status, JSON.parse(body).outcome]
}

async function journalOf(url: string): Promise<readonly JournalEntry[]> {
  return (await (await fetch(new URL('/journal', url))).json()) as JournalEntry[]
}

/** How often the events of these deliveries are in the journal. */
function timesIn(journal: readonly JournalEntry[], requests: readonly SignedRequest[]): number[] {
  return requests.map((request) => {
    return journal.filter(({ eventId }) => eventId === idOf(request)).length
  })
}

function idOf({ body }: SignedRequest): string {
  return JSON.parse(body).id
}

/** Ends programs as a machine does that shuts down. */
async function endWell(...programs: readonly Program[]): Promise<void> {
  for (const program of programs) {
    program.kill('SIGTERM')
    const stdout = expect.stringMatching(/SIGTERM: letting handlers finish\n(?:.*\n)*Stopped\n$/)
    expect(await program.ended).toMatchObject({ code: 0, stdout })
  }
}
