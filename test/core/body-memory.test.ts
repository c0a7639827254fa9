import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ChildProcess } from '../../src/conformance/child-process.ts'
import type { Question, Streams } from './body-memory-program.ts'

const kibibyte = 1024
const mebibyte = 1024 * kibibyte

interface Memory {
  /** What is referred to, in bytes. */
  readonly kept: number
  /** The most that the process ever took, in bytes. */
  readonly peak: number
}

describe('maxBodyBytes, with a body that arrives byte by byte', () => {
  let program: ChildProcess

  beforeAll(async () => {
    program = new ChildProcess({
      module: new URL('./body-memory-program.ts', import.meta.url),
      // Less than one body of a mebibyte takes where every piece is kept.
      execArgv: ['--import', 'tsx', '--expose-gc', '--max-old-space-size=100'],
    })
    // Everything is loaded and compiled before memory is measured.
    for (const announced of [undefined, 1_000]) await receive({ count: 9, bytes: 1_000, announced })
  })
  afterAll(() => program.kill())

  const ask = async (question: Question) => await program.ask(question)
  const memory = async () => (await ask({ ask: 'memory' })) as Memory
  const receive = async (streams: Streams) =>
    (await ask({ receive: streams })) as Memory & { readonly statuses: readonly number[] }

  it.each([
    ['with its length', mebibyte],
    ['without its length', undefined],
  ])('takes about its length of memory, as a stream %s', async (_, announced) => {
    const before = await memory()
    const { kept, peak, statuses } = await receive({ count: 2, bytes: mebibyte, announced })
    expect(statuses).toEqual([401])
    expect(kept - before.kept).toBeLessThan(5 * mebibyte)
    expect(peak - before.peak).toBeLessThan(100 * mebibyte)
  })

  it('takes no more than what has come, whatever was announced', async () => {
    const before = await memory()
    const { kept, statuses } = await receive({ count: 1_000, bytes: 2, announced: mebibyte })
    expect(statuses).toEqual([400])
    expect(kept - before.kept).toBeLessThan(20 * mebibyte)
  })

  it.each(['node:http', 'Express', 'Koa', 'Fastify'] as const)(
    'takes about its length of memory on %s',
    async (serve) => {
      const length = 128 * kibibyte
      const port = (await ask({ serve })) as number
      const before = await memory()
      const senders = [await connected(port), await connected(port)]
      const sent = senders.reduce((sum, sender) => sum + sendAllButTheLast(sender, length), 0)
      while (((await ask({ ask: 'bytes read' })) as number) < sent) await setTimeout(10)
      const { kept, peak } = await memory()
      for (const sender of senders) expect(await answerTo(sender)).toMatch(/^HTTP\/1.1 401 /)
      expect(kept - before.kept).toBeLessThan(4 * length + 2 * mebibyte)
      expect(peak - before.peak).toBeLessThan(100 * mebibyte)
    },
  )
})

async function connected(port: number): Promise<Socket> {
  const sender = connect(port, '127.0.0.1')
  await once(sender, 'connect')
  return sender
}

/** Sends a body but for its last byte, each in a chunk of its own. Returns how many bytes that takes. */
function sendAllButTheLast(sender: Socket, length: number): number {
  const head =
    'POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n'
  const sent = head + '1\r\na\r\n'.repeat(length - 1)
  sender.write(sent)
  return sent.length
}

async function answerTo(sender: Socket): Promise<string> {
  sender.write('1\r\na\r\n0\r\n\r\n')
  let text = ''
  for await (const piece of sender.setEncoding('latin1')) text += piece
  return text
}
