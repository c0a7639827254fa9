import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { runToEnd, start } from '../examples/program.ts'
import { SentEvent } from './provider.ts'

const file = 'examples/exactly-once/server.ts'
const env = { KROSAI_WEBHOOK_SECRET: 'a secret for tests', PORT: '0' }

it('the program of the guide shows its ledger, and ends when it is told to', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'ringhook-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const program = await start(file, { args: [`sqlite:${join(folder, 'ledger.db')}`], env })
  const [, url = ''] = await program.printed(/Listening on (\S+)\n/)
  const event = new SentEvent()

  const answers = [await event.deliver(url), await event.deliver(url)]
  const ledger = await (await fetch(new URL('/ledger', url))).json()
  program.kill('SIGTERM')

  expect(answers).toEqual(['200 handled', '200 duplicate'])
  expect(ledger).toEqual([{ eventId: event.id, callId: 'call_abc123', seconds: 180 }])
  expect(await program.ended).toEqual({
    code: 0,
    signal: null,
    stdout: expect.stringMatching(/SIGTERM: letting handlers finish\nStopped\n$/),
    stderr: '',
  })
}, 60_000)

it('the program of the guide says which databases it knows', async () => {
  const { code, stderr } = await runToEnd(file, { args: ['oracle://localhost'], env })

  expect(code).toBe(1)
  expect(stderr).toBe(
    'The address of the database is none that is known. Give postgres://…, mysql://… or sqlite:file.\n',
  )
}, 60_000)
