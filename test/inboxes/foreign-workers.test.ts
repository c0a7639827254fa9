import { randomUUID } from 'node:crypto'
import { Queue, Worker } from 'bullmq'
import type { Inbox } from 'ringhook'
import { bullmqInbox } from 'ringhook/inboxes/bullmq'
import { pgBossInbox } from 'ringhook/inboxes/pg-boss'
import { expect, it, onTestFinished, vi } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { pgBossSchema } from './pg-boss-queues.ts'

/** A logger, and what it was told. */
function listening() {
  const lines: string[] = []
  const write = (line: string) => void lines.push(line)
  return { lines, logger: { debug: write, info: write, warn: write, error: write } }
}

async function started(inbox: Inbox): Promise<void> {
  await inbox.start(async () => ({ state: 'completed' }), { concurrency: 1, onError() {} })
  onTestFinished(() => inbox.stop())
}

describeOn('redis', 'bullmqInbox on a queue that others work on', (url) => {
  const connection = { url, maxRetriesPerRequest: null }

  function queueOf(): Queue {
    const queue = new Queue(`strangers-${randomUUID()}`, { connection })
    onTestFinished(async () => {
      await queue.obliterate({ force: true })
      await queue.close()
    })
    return queue
  }

  async function stranger(queue: Queue, name?: string): Promise<void> {
    const named = name === undefined ? {} : { name }
    const worker = new Worker(queue.name, async () => {}, { connection, ...named })
    onTestFinished(() => worker.close())
    await worker.waitUntilReady()
    // Its name is set on a connection of its own.
    await vi.waitUntil(async () => (await queue.getWorkers()).length === 1)
  }

  it.each([[undefined], ['mailer'], ['not-ringhook'], ['ringhookish']])(
    'says so at its start, once: a worker named %s',
    async (name) => {
      const queue = queueOf()
      await stranger(queue, name)
      const { lines, logger } = listening()
      const inbox = bullmqInbox(queue, { Worker, logger })
      await started(inbox)
      await inbox.stop()
      await started(inbox)
      expect(lines).toEqual([
        expect.stringMatching(/workers that are not ringhook's: 1\. They take/),
      ])
    },
  )

  it.each([[undefined], ['eu-1']])('takes no worker of its own for one: named %s', async (name) => {
    const queue = queueOf()
    const worker = name === undefined ? {} : { name }
    const { lines, logger } = listening()
    await started(bullmqInbox(queue, { Worker, worker, logger }))
    await started(bullmqInbox(queue, { Worker, worker, logger }))
    await vi.waitUntil(async () => (await queue.getWorkers()).length === 2)
    const names = (await queue.getWorkers()).map(({ rawname }) => rawname?.split(':w:')[1])
    expect(names).toEqual(new Array(2).fill(name === undefined ? 'ringhook' : 'ringhook:eu-1'))
    expect(lines).toEqual([])
  })

  it('says nothing of workers on other queues, or where they cannot be listed', async () => {
    const [queue, other] = [queueOf(), queueOf()]
    await stranger(other)
    queue.getWorkers = () => Promise.reject(new Error('NOPERM'))
    const { lines, logger } = listening()
    await started(bullmqInbox(queue, { Worker, logger }))
    expect(lines).toEqual([])
  })
})

describeOn('postgres', 'pgBossInbox on a queue that others work on', (url) => {
  const { boss } = pgBossSchema(url)

  it('says so at its start, of workers of the same pg-boss', async () => {
    const its = await boss()
    const { lines, logger } = listening()
    const inbox = pgBossInbox(its, { queue: 'mixed', logger })
    await inbox.migrate()
    await started(inbox)
    expect(lines).toEqual([])
    await inbox.stop()
    await its.work('mixed', async () => {})
    await started(inbox)
    expect(lines).toEqual([expect.stringMatching(/boss\.work\("mixed"\) was called/)])
  })
})
