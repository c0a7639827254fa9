import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { promisify } from 'node:util'
import Database from 'better-sqlite3'
import express from 'express'
import { type IdempotencyStore, memoryStore } from 'ringhook'
import { sqliteInbox } from 'ringhook/inboxes/sqlite'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createApp } from '../../examples/express/server.ts'
import { portOf } from '../../examples/shared/program.ts'
import { brokenPromises, wrongEffects } from '../../examples/tour/check.ts'
import { quoted } from '../../examples/tour/curl.ts'
import { runTour, type TourOptions } from '../../examples/tour/tour.ts'
import documented from '../vectors/krosai-samples.json' with { type: 'json' }
import { Program, runToEnd, start } from './program.ts'

const tour = 'examples/tour/tour.ts'
const run = promisify(execFile)
/** Answered at once, and handled by the worker. */
const done = '200 accepted, handled → completed'
const escapes = '\u001b['

describe('npm start -- --once', () => {
  it('has every documented payload handled once, and ends well', async () => {
    const { code, stdout } = await new Program('npm', ['start', '--', '--once']).ended

    expect(code).toBe(0)
    expect(stdout).not.toContain(escapes)
    expect(stdout.trimEnd().split('\n').at(-1)).toBe(
      '19 documented payloads handled once each · 49 deliveries, 32 events handled, 0 surprises',
    )
    const names = documented.map(({ event }) => event)
    const lines = deliveriesIn(chapterOf(stdout, 'Documented payloads'))
    expect(lines.map(({ name }) => name).sort()).toEqual(names.sort())
    expect(new Set(lines.map(({ answer }) => answer))).toEqual(new Set([done]))
  })

  it('shows every other thing that is promised', async () => {
    const { stdout } = await runToEnd(tour, { args: ['--once'] })
    const answersIn = (title: string) =>
      deliveriesIn(chapterOf(stdout, title)).map(({ answer }) => answer)

    expect(answersIn('Other names')).toEqual(times(6, done))
    const [first, second, ...together] = answersIn('Sent again')
    expect([first, second]).toEqual(times(2, '200 accepted, duplicate → completed'))
    expect(together.sort()).toEqual([done, '200 duplicate', '200 duplicate'])
    expect(answersIn('Refused')).toEqual([...times(3, '401 rejected'), ...times(2, '400 rejected')])
    expect(answersIn('Tried again')).toEqual(['200 accepted, failed → retry'])
    expect(attemptsIn(chapterOf(stdout, 'Tried again'))).toEqual([
      'failed → retry',
      'handled → completed',
    ])
    expect(answersIn('Restarted')).toEqual(['200 accepted', '200 accepted, duplicate → completed'])
    expect(attemptsIn(chapterOf(stdout, 'Restarted'))).toEqual(['handled → completed'])
    const inline = answersIn('Without an inbox')
    expect(inline.slice(1, 4).sort()).toEqual(['200 duplicate', '200 duplicate', '200 handled'])
    inline.splice(1, 3)
    expect(inline).toEqual([
      '422 invalid',
      ...['500 failed', '500 failed', '200 handled'],
      ...['503 timed_out', '200 duplicate'],
    ])
  })

  it('shows dead letters, and that a replay finishes one', async () => {
    const { stdout } = await runToEnd(tour, { args: ['--once'] })
    const chapter = chapterOf(stdout, 'Dead letters')

    expect(deliveriesIn(chapter).map(({ answer }) => answer)).toEqual([
      '200 accepted, invalid → dead',
      '200 accepted, failed → retry',
    ])
    expect(attemptsIn(chapter)).toEqual(['failed → retry', 'failed → dead', 'handled → completed'])
    expect(chapter).toContain(
      "receiver.inbox.list({ state: 'dead' }): RINGHOOK_EVENT_INVALID, RINGHOOK_HANDLER_FAILED\n",
    )
    expect(chapter).toContain('receiver.inbox.replay(id): 1\n')
    expect(chapter).toMatch(/receiver\.inbox\.discard\(id\): true$/)
  })

  it.each<[string, Record<string, string>, boolean]>([
    ['no colours where the output is no terminal', {}, false],
    ['no colours with NO_COLOR', { NO_COLOR: '1' }, false],
    ['colours with FORCE_COLOR', { FORCE_COLOR: '1' }, true],
    ['no colours with FORCE_COLOR=0', { FORCE_COLOR: '0' }, false],
  ])('has %s', async (_, env, isColoured) => {
    const { code, stdout } = await runToEnd(tour, { args: ['--once'], env })

    expect(code).toBe(0)
    expect(stdout.includes(escapes)).toBe(isColoured)
  })
})

describe('npm start', () => {
  it('keeps listening, prints a curl command that works when it is pasted, and stops at Ctrl+C', async () => {
    const program = await start(tour)
    const [, command = '', address] = await program.printed(
      /^(curl -i .*?)\n\n.*^Listening on (\S+)\. Ctrl\+C stops\.\n/ms,
    )

    const first = await paste(command)
    await program.printed(/Ctrl\+C stops\..*handled → completed\n/s)
    const second = await paste(command)
    await program.printed(/Ctrl\+C stops\..*duplicate → completed\n/s)
    const calls = await (await fetch(`${address}/calls`)).json()
    program.kill('SIGINT')

    expect(first).toContain('{"outcome":"accepted"}')
    expect(second).toContain('{"outcome":"accepted"}')
    const [callId] = /call_[0-9a-f]{6}/.exec(command) ?? []
    expect(calls).toMatchObject({
      calls: expect.arrayContaining([expect.objectContaining({ id: callId, status: 'completed' })]),
    })
    const { code, stdout } = await program.ended
    expect(code).toBe(0)
    const [, afterwards = ''] = stdout.split('Ctrl+C stops.')
    // durationMs counts whole milliseconds.
    expect(afterwards).not.toContain('0.0 ms')
    const own = deliveriesIn(afterwards).map(({ name, answer }) => [name, answer])
    expect(own).toEqual([
      ['call.ended', '200 accepted'],
      ['call.ended', '200 accepted'],
    ])
    expect(attemptsIn(afterwards)).toEqual(['handled → completed', 'duplicate → completed'])
    expect(stdout).toMatch(/SIGINT: letting handlers finish\nStopped\n$/)
  })

  it('signs with the secret that it was given, and never prints it', async () => {
    const env = { KROSAI_WEBHOOK_SECRET: 'a secret of my own' }
    const { code, stdout } = await runToEnd(tour, { args: ['--once'], env })

    expect(code).toBe(0)
    expect(stdout).not.toContain(env.KROSAI_WEBHOOK_SECRET)
  })

  it('says how it is used', async () => {
    const { code, stdout } = await runToEnd(tour, { args: ['--help'] })

    expect(code).toBe(0)
    expect(stdout).toMatch(/^Usage: npm start \[-- --once\]\n/)
  })

  it.each([
    ['--twice', "Unknown option '--twice'."],
    ['again', "Unexpected argument 'again'."],
  ])('refuses %s, and says how it is used', async (argument, problem) => {
    const { code, stdout, stderr } = await runToEnd(tour, { args: [argument] })

    expect(code).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toMatch(new RegExp(`^${problem}\n\nUsage: npm start`))
  })

  it('listens where PORT says, and says what to do when that is taken or no port', async () => {
    const other = createServer().listen(0, '127.0.0.1')
    onTestFinished(() => void other.close())
    await once(other, 'listening')
    const port = String(portOf(other))

    const taken = await runToEnd(tour, { args: ['--once'], env: { PORT: port } })
    const wrong = await runToEnd(tour, { args: ['--once'], env: { PORT: 'http' } })

    expect([taken.code, taken.stderr]).toEqual([
      1,
      `Port ${port} is taken. Set PORT to another one, or to 0 for any free port.\n`,
    ])
    expect([wrong.code, wrong.stderr]).toEqual([
      1,
      'PORT is "http". Set it to a number from 0, which is any free port, to 65535.\n',
    ])
  })
})

describe('the tour', () => {
  it('finds nothing wrong with the Express example', async () => {
    const { code, printed } = await play(createApp)

    expect(code).toBe(0)
    expect(printed).not.toContain('✗')
  })

  it('finds out an endpoint that forgets what it has handled', async () => {
    const memory = memoryStore()
    const store: IdempotencyStore = {
      claim: (key, options) => memory.claim(key, options),
      extend: (claim, options) => memory.extend(claim, options),
      complete: (claim) => memory.release(claim),
      release: (claim) => memory.release(claim),
      forget: (key) => memory.forget(key),
      status: (key) => memory.status(key),
    }
    const { code, printed } = await play((options) => createApp({ ...options, store }))

    expect(code).toBe(1)
    expect(printed).toContain(
      '✗  call.initiated: promised the attempt duplicate → completed, got handled → completed\n',
    )
    expect(printed).toMatch(
      /✗ {2}call\.completed \(evt_\S+\): promised 1 in the journal, found 2\n/,
    )
    expect(printed).toContain('\n16 of 19 documented payloads handled once each · ')
  })

  it('finds out a store that forgets when the endpoint is restarted', async () => {
    const { code, printed } = await play((options) =>
      createApp({ ...options, store: memoryStore() }),
    )

    expect(code).toBe(1)
    expect(chapterOf(printed, 'Restarted')).toMatch(/call\.ringing +200 .* handled → completed/)
    expect(printed).toContain(
      '✗  call.ringing: promised the attempt duplicate → completed, got handled → completed\n',
    )
  })

  it('finds out an inbox that forgets when the endpoint is restarted', async () => {
    const { code, printed } = await play((options) => {
      const inbox = sqliteInbox(new Database(':memory:'), { pollMs: 10 })
      const { app, receiver } = createApp({ ...options, inbox })
      return {
        app,
        receiver: {
          inbox: receiver.inbox,
          start: () => inbox.migrate().then(() => receiver.start()),
          close: (closing) => receiver.close(closing),
        },
      }
    }, impatient)

    expect(code).toBe(1)
    expect(printed).toContain(
      '✗  call.initiated: promised the attempt handled → completed, got none\n',
    )
    expect(printed).toMatch(
      /✗ {2}call\.initiated \(evt_\S+\): promised 1 in the journal, found 0\n/,
    )
  })

  it('finds out a worker that does nothing', async () => {
    const { code, printed } = await play((options) => {
      const { app, receiver } = createApp(options)
      const { inbox } = receiver
      const idle = { inbox, start: async () => {}, close: () => receiver.close() }
      return { app, receiver: idle }
    }, impatient)

    expect(code).toBe(1)
    expect(printed).toContain(
      '✗  balance.low: promised the attempt handled → completed, got none\n',
    )
    expect(printed).toContain('\n0 of 19 documented payloads handled once each · ')
  })

  it('finds out an endpoint that believes everybody and does nothing', async () => {
    const { code, printed } = await play((options) => {
      const app = express().use((_request, response) => void response.json({ outcome: 'handled' }))
      return { app, receiver: createApp(options).receiver }
    }, impatient)

    expect(code).toBe(1)
    expect(printed).toContain(
      '✗  call.completed: promised 401 rejected RINGHOOK_NOT_AUTHENTIC, got 200 handled\n',
    )
    expect(printed).toMatch(/✗ {2}balance\.low \(evt_\S+\): promised 1 in the journal, found 0\n/)
    expect(printed).toContain('\n0 of 19 documented payloads handled once each · ')
  })

  it('finds out an endpoint that answers nothing', async () => {
    const { code, printed } = await play((options) => {
      const app = express().use((request) => void request.socket.destroy())
      return { app, receiver: createApp(options).receiver }
    }, impatient)

    expect(code).toBe(1)
    expect(printed).toContain('✗  call.ringing: promised 200 accepted, got no answer\n')
  })
})

describe('brokenPromises', () => {
  const handled = { status: 200, outcome: 'handled' }
  const duplicate = { status: 200, outcome: 'duplicate' }

  it('is content with answers in any order', () => {
    expect(brokenPromises([duplicate, handled], [handled, duplicate])).toEqual([
      undefined,
      undefined,
    ])
  })

  it('says which promise was broken by which answer', () => {
    expect(brokenPromises([handled, handled], [handled, duplicate])).toEqual([undefined, duplicate])
    expect(brokenPromises([{ ...handled, status: 202 }], [handled])).toEqual([handled])
    expect(brokenPromises([{ ...handled, code: 'RINGHOOK_IN_FLIGHT' }], [handled])).toEqual([
      handled,
    ])
  })

  it('is not content with an answer that nobody was promised', () => {
    expect(brokenPromises([handled], [])).toEqual([{ status: 0, outcome: 'no delivery' }])
  })
})

describe('wrongEffects', () => {
  const promised = new Map([
    ['evt_1', { name: 'call.completed', times: 1 }],
    ['evt_2', { name: 'call.failed', times: 0 }],
  ])
  const entry = (eventId: string) => ({ eventId, type: 'call.completed' })

  it('is content when every event took effect as often as was promised', () => {
    expect(wrongEffects(promised, [entry('evt_1')])).toEqual([])
  })

  it('names what is missing, what is there twice, and what nobody sent', () => {
    expect(wrongEffects(promised, [])).toEqual([
      'call.completed (evt_1): promised 1 in the journal, found 0',
    ])
    const journal = ['evt_1', 'evt_1', 'evt_2', 'evt_3'].map(entry)
    expect(wrongEffects(promised, journal)).toEqual([
      'call.completed (evt_1): promised 1 in the journal, found 2',
      'call.failed (evt_2): promised 0 in the journal, found 1',
      'call.completed (evt_3): in the journal, and nobody sent it',
    ])
  })
})

describe('quoted', () => {
  it.each([
    '',
    'plain',
    'two words',
    "it's",
    '"$HOME" `id` \\ ! * ? ~ # & ; | < > ( ) { }',
    'ünï — 💥',
    'two\nlines',
    '-n',
  ])('makes one word of a shell of %j', async (text) => {
    const { stdout } = await run('sh', ['-c', `printf %s ${quoted(text)}`])

    expect(stdout).toBe(text)
  })
})

/** For workers that never do what is waited for: the first of it is waited for this long. */
const impatient = { patienceMs: 2_000 }

async function play(
  create: NonNullable<TourOptions['createApp']>,
  options: Pick<TourOptions, 'patienceMs'> = {},
) {
  let printed = ''
  const output = { write: (text: string) => (printed += text) }
  const code = await runTour({ args: ['--once'], env: {}, output, createApp: create, ...options })
  return { code, printed }
}

/** Runs a command as a person does who pastes it. Without curl, sends what curl would send. */
async function paste(command: string): Promise<string> {
  try {
    const { stdout } = await run('sh', ['-c', command])
    return stdout
  } catch (error) {
    if ((error as { code?: unknown }).code !== 127) throw error
    const { stdout } = await run('sh', ['-c', command.replace('curl -i', "printf '%s\\n'")])
    const [url = '', , type = '', , signature = '', , body = ''] = stdout.split('\n')
    const headers = [type, signature].map((header) => header.split(': ') as [string, string])
    return (await fetch(url, { method: 'POST', headers, body })).text()
  }
}

function times(count: number, answer: string): string[] {
  return Array.from({ length: count }, () => answer)
}

/** What was printed under a heading. */
function chapterOf(printed: string, title: string): string {
  return printed.split('\n\n').find((chapter) => chapter.startsWith(`${title}  `)) ?? ''
}

/** The attempts that have a line of their own. */
function attemptsIn(printed: string): string[] {
  const lines = printed.matchAll(/^ {3}\S+ {2} *\S+(?: again)? {9,}(\w+ → \w+)/gm)
  return [...lines].map(([, attempt = '']) => attempt)
}

/** The lines that are about a delivery. */
function deliveriesIn(printed: string): { readonly name: string; readonly answer: string }[] {
  return printed.split('\n').flatMap((line) => {
    const match =
      /^ {3}\d\d:\d\d:\d\d\.\d{3} {2}(\S+) +(\d{3}) {2}(\w+) +(?:<1|\d+(?:\.\d)?) ms(?: {2}(\w+ → \w+))?/.exec(
        line,
      )
    if (match === null) return []
    const [, name = '', status, outcome, attempt] = match
    return [{ name, answer: [`${status} ${outcome}`, attempt].filter(Boolean).join(', ') }]
  })
}
