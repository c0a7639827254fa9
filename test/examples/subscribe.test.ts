import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { playOutage } from '../../examples/subscribe/outage.ts'
import { type Program, runToEnd, start } from './program.ts'

function newFile(): string {
  const folder = mkdtempSync(join(tmpdir(), 'ringhook-subscribe-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return join(folder, 'ringhook.db')
}

/** A simulated KrosAI, and what a program needs to use it. */
async function simulation(): Promise<Readonly<Record<string, string>>> {
  const program = await start('examples/subscribe/krosai.ts', { env: { PORT: '0' } })
  const [, url = '', key = ''] = await program.printed(
    /KROSAI_API_URL=(\S+) KROSAI_API_KEY=(\S+) npx tsx examples\/subscribe\/server\.ts/,
  )
  return { KROSAI_API_URL: url, KROSAI_API_KEY: key, PORT: '0', RINGHOOK_DB: newFile() }
}

async function addressOf(program: Program): Promise<string> {
  const [, url = ''] = await program.printed(/Listening on (http:\S+)\/hooks\/krosai/)
  return url
}

describe('the subscribe example', () => {
  it('subscribes, prints the secret once, listens, and is tried by the test call', async () => {
    const env = await simulation()
    const program = await start('examples/subscribe/server.ts', { env })
    const url = await addressOf(program)
    await program.printed(/Healed: 0 asked for again/)
    const calls = await fetch(`${url}/calls`)
    program.kill('SIGTERM')
    const { code, stdout, stderr } = await program.ended

    expect(stdout).toMatch(/Webhook [\da-f-]{36}: created/)
    expect(stdout).toContain(
      'Not to be had at the API: call.initiated, call.ringing, call.answered',
    )
    expect(stdout.match(/Its secret, shown this once: [\da-f]{64}/g)).toHaveLength(1)
    expect(stdout).toContain('Test call: delivered, answered 200')
    expect(await calls.json()).toMatchObject({
      journal: [{ type: 'call.completed', about: expect.stringContaining('call_of_the_test_of_') }],
    })
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })

  it('started again at the same address changes nothing, and keeps the secret to itself', async () => {
    const { PORT: _any, ...env } = await simulation()
    const first = await start('examples/subscribe/server.ts', { env: { ...env, PORT: '0' } })
    const { port } = new URL(await addressOf(first))
    await first.printed(/Healed:/)
    first.kill('SIGTERM')
    await first.ended
    const PUBLIC_URL = `http://localhost:${port}`
    const second = await start('examples/subscribe/server.ts', {
      env: { ...env, PORT: '0', PUBLIC_URL },
    })
    // Nobody listens at that address any more.
    await second.printed(/Test call: not delivered, answered null/)
    await second.printed(/Healed:/)
    second.kill('SIGTERM')
    const { code, stdout } = await second.ended

    expect(stdout).toMatch(/Webhook [\da-f-]{36}: unchanged/)
    expect(stdout).not.toMatch(/secret/i)
    expect(code).toBe(0)
  })

  it('says what is wrong with the API key, and subscribes nothing', async () => {
    const { KROSAI_API_KEY: _key, ...env } = await simulation()
    const program = await start('examples/subscribe/server.ts', { env })
    const { code, stderr } = await program.ended
    expect(code).toBe(1)
    expect(stderr).toMatch(/^createKrosaiApi\(\) was given no API key.*RINGHOOK_API_KEY_INVALID/)
  })
})

describe('the outage', () => {
  it('ends with every event handled exactly once', async () => {
    const lines: string[] = []
    const { sent, handled, reports } = await playOutage((line) => lines.push(line))

    expect(sent).toHaveLength(95)
    expect(new Set(sent).size).toBe(95)
    expect([...handled].sort()).toEqual([...sent].sort())
    expect(reports.map(({ retried, isComplete }) => ({ retried, isComplete }))).toEqual([
      { retried: 20, isComplete: false },
      { retried: expect.any(Number), isComplete: true },
      { retried: 0, isComplete: true },
    ])
    // The one whose answer got lost, and one that KrosAI was still about to try.
    expect(reports[1]).toMatchObject({ completed: 1, pending: 1 })
    expect(reports[2]).toMatchObject({ pending: 0 })
    expect(lines).toContain('KrosAI is still away: RINGHOOK_API_FAILED')
  })

  it('plays as a program, line by line', async () => {
    const { code, stdout, stderr } = await runToEnd('examples/subscribe/outage.ts')
    expect(stdout).toMatch(/Every one was handled exactly once\.\n$/)
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  })
})
