import { createReceiver, krosai, type Receiver, type ReceiverOptions } from 'ringhook'
import { deliver, drainInbox, manualClock, signedRequest, simulateProvider } from 'ringhook/testing'
import { afterEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { bullmqPlaces, type Place, pgBossPlaces, sqlitePlace } from '../inboxes/receiver-places.ts'

const secret = 'a secret for tests'

async function receiverAt(
  { inbox, store }: Place,
  on: ReceiverOptions<typeof krosai>['on'] = { '*': () => {} },
): Promise<Receiver<typeof krosai>> {
  const receiver = createReceiver(krosai, { secret, inbox, store, on, logger: false })
  onTestFinished(async () => void (await receiver.close({ drainMs: 0 })))
  return receiver
}

function holds(open: () => Promise<Place>): void {
  it('waits for what was delivered, and says what became of it', async () => {
    const runs: string[] = []
    const receiver = await receiverAt(await open(), {
      'call.completed': async (event) => {
        await new Promise((resolve) => setImmediate(resolve))
        runs.push(event.id)
      },
      'call.failed': () => {
        throw new Error('the CRM is down')
      },
    })
    await receiver.start()
    for (let sent = 0; sent < 20; sent++) {
      expect(await deliver(receiver, 'call.completed')).toMatchObject({ outcome: 'accepted' })
    }
    await deliver(receiver, 'call.failed')
    const stats = await drainInbox(receiver)
    expect(runs).toHaveLength(20)
    expect(stats).toMatchObject({ waiting: 0, running: 0, delayed: 1, dead: 0 })
    expect(await receiver.inbox.list()).toMatchObject([{ state: 'delayed', attempts: 1 }])
    expect(await drainInbox(receiver)).toMatchObject({ delayed: 1 })
  })
}

describe('drainInbox', () => {
  afterEach(() => {
    vi.useRealTimers()
  })

  describe('with sqliteInbox', () => {
    holds(sqlitePlace)

    it('works under fake timers', async () => {
      const place = await sqlitePlace()
      vi.useFakeTimers()
      const runs: string[] = []
      const receiver = await receiverAt(place, { '*': (event) => void runs.push(event.id) })
      await receiver.start()
      await deliver(receiver, 'call.completed', { duplicate: 2 })
      expect(await drainInbox(receiver)).toMatchObject({ waiting: 0, running: 0, delayed: 0 })
      expect(runs).toHaveLength(1)
    })

    it('waits for the handlers of a simulated provider', async () => {
      const { inbox, store } = await sqlitePlace()
      let save = () => {}
      const receiver = createReceiver(krosai, {
        secret,
        inbox,
        store,
        clock: manualClock(),
        on: { '*': () => void save() },
      })
      onTestFinished(async () => void (await receiver.close()))
      await receiver.start()
      const simulation = simulateProvider(krosai, { target: receiver })
      save = () => simulation.effect('saved')
      for (let sent = 0; sent < 5; sent++) simulation.send('call.completed')
      expect((await simulation.run()).effects).toEqual({ saved: 5 })
    })

    it('refuses to wait where no worker runs, and where there is no inbox', async () => {
      const receiver = await receiverAt(await sqlitePlace())
      await deliver(receiver, 'call.completed')
      await expect(drainInbox(receiver)).rejects.toMatchObject({
        code: 'RINGHOOK_OPTION_INVALID',
        message: expect.stringContaining('receiver.start()'),
      })
      const other = createReceiver(krosai, { secret, on: { '*': () => {} } })
      await deliver(other, signedRequest(krosai, 'call.completed', { secret }))
      await expect(drainInbox(other)).rejects.toMatchObject({ code: 'RINGHOOK_INBOX_MISSING' })
    })
  })

  describeOn('redis', 'with bullmqInbox', (url) => holds(bullmqPlaces(url).open))
  describeOn('postgres', 'with pgBossInbox', (url) => holds(pgBossPlaces(url).open))
})
