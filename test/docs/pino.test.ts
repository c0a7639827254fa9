import { Writable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import Fastify, { type FastifyBaseLogger } from 'fastify'
import type { Receiver } from 'ringhook'
import { deliver } from 'ringhook/testing'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { blockNamed, unpack } from './pages.ts'

describe('the receiver of the README that logs with pino', () => {
  const block = blockNamed('README.md', 'logged.ts')
  const { pathOf, remove } = unpack('pino', [block])
  let make: (log: FastifyBaseLogger) => Receiver
  const lines: { level: number; msg: string; outcome?: string }[] = []

  beforeAll(async () => {
    vi.stubEnv('KROSAI_WEBHOOK_SECRET', 'a secret for this test')
    const { loggedReceiver } = await import(pathToFileURL(pathOf(block)).href)
    make = loggedReceiver
  })
  afterAll(() => {
    vi.unstubAllEnvs()
    remove()
  })

  it('writes each delivery once, failures as errors with what was thrown', async () => {
    const print = vi.spyOn(console, 'log').mockReturnValueOnce()
    // Fastify's logger is pino's.
    const { log } = Fastify({ logger: { stream: new Writable({ write: keep }) } })
    const receiver = make(log)
    await deliver(receiver, 'call.completed')
    print.mockImplementationOnce(() => {
      throw new Error('no table calls')
    })
    await deliver(receiver, 'call.completed')
    await deliver(receiver, 'call.completed', { forge: true })
    print.mockRestore()

    expect(lines).toMatchObject([
      { level: 30, msg: 'delivery', outcome: 'handled' },
      { level: 50, msg: expect.stringMatching(/the handler threw \(Error: no table calls at /) },
      { level: 40, msg: expect.stringContaining('RINGHOOK_NOT_AUTHENTIC') },
    ])
    expect(lines).toHaveLength(3)
  })

  function keep(line: Buffer, _encoding: string, done: () => void): void {
    lines.push(JSON.parse(line.toString()))
    done()
  }
})
