import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { krosai } from 'ringhook'
import { type SignedRequest, signedRequest } from 'ringhook/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { portOf } from '../../examples/shared/program.ts'
import { type Program, runToEnd, start } from './program.ts'

const secret = 'a secret for tests'

describe.each(['express', 'koa', 'fastify'])('the %s example', (framework) => {
  const file = `examples/${framework}/server.ts`

  async function listening(database = newFile()): Promise<{ program: Program; url: string }> {
    const env = { KROSAI_WEBHOOK_SECRET: secret, PORT: '0', RINGHOOK_DB: database }
    const program = await start(file, { env })
    return { program, url: await addressOf(program) }
  }

  it('takes deliveries, keeps a log of the calls, and takes notes as JSON beside the endpoint', async () => {
    const { url } = await listening()
    const completed = signedRequest(krosai, 'call.completed', { secret })
    const ringing = signedRequest(krosai, 'call.ringing', { secret })

    expect(await deliver(url, completed)).toEqual([200, { outcome: 'handled' }])
    expect(await deliver(url, ringing)).toEqual([200, { outcome: 'handled' }])
    expect(await deliver(url, completed)).toEqual([200, { outcome: 'duplicate' }])
    const note = await fetch(new URL('/calls/call_abc123/notes', url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ note: 'très content' }),
    })
    const calls = await fetch(new URL('/calls', url))

    expect([note.status, await note.json()]).toEqual([201, { added: true }])
    expect(await calls.json()).toEqual({
      calls: [
        {
          id: 'call_abc123',
          status: 'completed',
          from: '+14155551234',
          to: '+2348012345678',
          seconds: 180,
          costCents: 12,
          notes: ['très content'],
        },
      ],
      journal: [
        { eventId: idOf(completed), type: 'call.completed', about: 'call_abc123' },
        { eventId: idOf(ringing), type: 'call.ringing', about: 'call_abc123' },
      ],
    })
  })

  it('believes nobody else, and knows no call that there was not', async () => {
    const { url } = await listening()
    const forged = signedRequest(krosai, 'call.completed', { secret, forge: true })

    expect(await deliver(url, forged)).toEqual([
      401,
      { outcome: 'rejected', code: 'RINGHOOK_NOT_AUTHENTIC' },
    ])
    const note = await fetch(new URL('/calls/call_abc123/notes', url), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{}',
    })
    expect(note.status).toBe(404)
    expect(await (await fetch(new URL('/calls', url))).json()).toEqual({ calls: [], journal: [] })
  })

  it('lets a handler finish when it is told to end, and ends well', async () => {
    const program = await start('test/examples/slow-server.ts', {
      args: [framework, secret, newFile()],
    })
    const url = await addressOf(program)
    const answer = deliver(url, signedRequest(krosai, 'call.completed', { secret }))
    await program.printed(/writing/)

    program.kill('SIGTERM')
    await program.printed(/SIGTERM: letting handlers finish/)
    const tooLate = await deliver(url, signedRequest(krosai, 'call.failed', { secret }))
    program.type('write')

    expect(tooLate).toEqual([503, { outcome: 'unavailable', code: 'RINGHOOK_SHUTTING_DOWN' }])
    expect(await answer).toEqual([200, { outcome: 'handled' }])
    expect(await program.ended).toMatchObject({ code: 0, signal: null, stderr: '' })
  })

  it('knows after it was killed which events had finished', async () => {
    const database = newFile()
    const before = await listening(database)
    const completed = signedRequest(krosai, 'call.completed', { secret })
    const ringing = signedRequest(krosai, 'call.ringing', { secret })
    expect(await deliver(before.url, completed)).toEqual([200, { outcome: 'handled' }])
    before.program.kill('SIGKILL')
    await before.program.ended
    const { url } = await listening(database)

    expect(await deliver(url, completed)).toEqual([200, { outcome: 'duplicate' }])
    expect(await deliver(url, ringing)).toEqual([200, { outcome: 'handled' }])
  })

  it('does not wait for connections that are kept alive when it is interrupted', async () => {
    const { program, url } = await listening()
    await deliver(url, signedRequest(krosai, 'call.completed', { secret }))

    program.kill('SIGINT')

    expect(await program.ended).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/Stopped\n$/),
    })
  })

  it.each<[string, Record<string, string>]>([
    ['no secret', {}],
    ['a blank secret', { KROSAI_WEBHOOK_SECRET: '' }],
  ])('refuses to start with %s, and says what to do about it', async (_, env) => {
    const { code, stdout, stderr } = await runToEnd(file, {
      env: { ...env, PORT: '0', RINGHOOK_DB: newFile() },
    })

    expect(code).toBe(1)
    expect(stdout).toBe('')
    expect(stderr).toMatch(
      /^There is no secret for krosai: .*Copy the signing secret.*RINGHOOK_SECRET_MISSING/,
    )
    expect(stderr.trim()).not.toContain('\n')
  })

  it('says what to do about a port that is taken', async () => {
    const other = createServer().listen(0)
    onTestFinished(() => void other.close())
    await once(other, 'listening')
    const port = portOf(other)

    const { code, stderr } = await runToEnd(file, {
      env: { KROSAI_WEBHOOK_SECRET: secret, PORT: String(port), RINGHOOK_DB: newFile() },
    })

    expect(code).toBe(1)
    expect(stderr).toBe(
      `Port ${port} is taken. Set PORT to another one, or to 0 for any free port.\n`,
    )
  })

  it('says what to do about a file that it cannot open', async () => {
    const database = join(newFile(), 'no', 'such', 'folder.db')
    const { code, stdout, stderr } = await runToEnd(file, {
      env: { KROSAI_WEBHOOK_SECRET: secret, PORT: '0', RINGHOOK_DB: database },
    })

    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toBe(
      `${database} cannot be opened. Set RINGHOOK_DB to a file in a folder that can be written.\n`,
    )
  })
})

/** The path of a file that is not there yet. */
function newFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ringhook-example-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  return join(folder, 'ringhook.db')
}

async function addressOf(program: Program): Promise<string> {
  const [, url = ''] = await program.printed(/Listening on (\S+)\n/)
  return url
}

async function deliver(url: string, { method, headers, rawBody }: SignedRequest) {
  const response = await fetch(url, { method, headers, body: rawBody })
  return [response.status, await response.json()]
}

function idOf({ body }: SignedRequest): string {
  return JSON.parse(body).id
}
