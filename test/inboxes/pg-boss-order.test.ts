import { randomBytes } from 'node:crypto'
import { pgBossInbox } from 'ringhook/inboxes/pg-boss'
import { expect, it } from 'vitest'
import type { AttemptResult } from '../../src/inboxes/inbox.ts'
import { describeOn } from '../helpers/servers.ts'
import {
  dead,
  delivery,
  done,
  failure,
  pgBossSchema,
  put,
  retry,
  until,
  work,
} from './pg-boss-queues.ts'

const hour = 60 * 60_000

describeOn('postgres', 'pgBossInbox, of deliveries that keep an order,', (url) => {
  const { boss, inbox: open, jobs, change, supervise } = pgBossSchema(url)
  const orderOf = (maxHoldMs: number) => ({ key: randomBytes(32).toString('hex'), maxHoldMs })
  const states = async (queue: string) => (await jobs(queue)).map(({ state }) => state).sort()

  it('lets others overtake one that would be tried again after its hold, and keeps its repeats away', async () => {
    const { inbox, queue } = await open()
    const stored = delivery()
    const order = orderOf(1_000)
    await inbox.put(stored, { key: stored.key, order })
    const behind = await put(inbox, order)
    const { attempts } = await work(inbox, ({ id }) => (id === stored.key ? retry(hour) : done))
    await until(async () => (await inbox.entry(behind)) === undefined)

    expect(attempts.map(({ id }) => id)).toEqual([stored.key, behind])
    expect(await inbox.put(stored, { key: stored.key, order })).toBe('duplicate')
    expect(await inbox.entry(stored.key)).toMatchObject({
      state: 'delayed',
      attempts: 1,
      dueAt: expect.closeTo(Date.now() + hour, -5),
      failure: { code: 'RINGHOOK_HANDLER_FAILED' },
      delivery: stored,
    })
    expect(await inbox.stats()).toEqual({
      waiting: 0,
      running: 0,
      delayed: 1,
      dead: 0,
      oldest: stored.receivedAt,
    })
    const listed: string[] = []
    for await (const { id } of inbox.entries({})) listed.push(id)
    expect(listed).toEqual([stored.key])
    expect(await states(queue)).toEqual(['cancelled', 'completed', 'created'])
  })

  it('goes on counting the attempts of one that was overtaken, and leaves nothing behind when it is done', async () => {
    const { inbox, queue } = await open()
    const id = await put(inbox, orderOf(10))
    const verdicts: AttemptResult[] = [
      retry(20),
      { state: 'postponed', delayMs: 0 },
      retry(0),
      done,
    ]
    const { attempts } = await work(inbox, () => verdicts.shift() ?? done)
    await until(async () => (await inbox.entry(id)) === undefined)

    expect(attempts.map(({ number }) => number)).toEqual([1, 2, 2, 3])
    expect(await states(queue)).toEqual(['completed'])
  })

  it('gives a dead letter that was overtaken its place back when it is replayed', async () => {
    const { inbox, queue } = await open()
    const order = orderOf(10)
    const letter = await put(inbox, order)
    let verdict: AttemptResult = retry(20)
    const first = await work(inbox, ({ number }) => (number === 1 ? verdict : dead()))
    await until(async () => (await inbox.entry(letter))?.state === 'dead')
    await inbox.stop()
    expect(first.attempts.map(({ number }) => number)).toEqual([1, 2])
    const behind = await put(inbox, order)

    expect(await inbox.replay(letter)).toBe(true)
    expect(await inbox.entry(letter)).toMatchObject({ state: 'waiting', attempts: 0 })
    verdict = done
    const { attempts } = await work(inbox, () => verdict)
    await until(async () => (await inbox.entry(behind)) === undefined)

    expect(attempts.map(({ id, number }) => [id, number])).toEqual([
      [letter, 1],
      [behind, 1],
    ])
    expect(await states(queue)).toEqual(['completed', 'completed'])
  })

  it('can be overtaken again after a replay', async () => {
    const { inbox } = await open()
    const id = await put(inbox, orderOf(10))
    let rounds = 0
    const { attempts } = await work(inbox, ({ number }) => (number === 1 ? retry(20) : dead()))
    while (rounds++ < 3) {
      await until(async () => (await inbox.entry(id))?.state === 'dead')
      expect(await inbox.replay(id)).toBe(true)
    }
    await until(() => attempts.length === 8)

    expect(attempts.map(({ number }) => number)).toEqual([1, 2, 1, 2, 1, 2, 1, 2])
  })

  it('forgets one that was overtaken when it is discarded', async () => {
    const { inbox, queue } = await open()
    const stored = delivery()
    const order = orderOf(10)
    await inbox.put(stored, { key: stored.key, order })
    await work(inbox, () => retry(hour))
    await until(async () => (await inbox.entry(stored.key))?.state === 'delayed')

    expect([await inbox.discard(stored.key), await inbox.discard(stored.key)]).toEqual([
      true,
      false,
    ])
    expect(await jobs(queue)).toEqual([])
    expect(await inbox.put(stored, { key: stored.key, order })).toBe('accepted')
  })

  it('counts the time of a hold from an attempt that ended with its worker', async () => {
    const { inbox, queue } = await open()
    const order = orderOf(10)
    const id = await put(inbox, order)
    const behind = await put(inbox, order)
    const crashed = await work(inbox, () => new Promise(() => {}))
    await until(() => crashed.attempts.length === 1)
    await change(queue, "heartbeat_on = now() - interval '1 hour'")
    const other = pgBossInbox(await boss(), { queue, pollMs: 10 })
    await supervise(queue)
    // By this failure alone the hold would have an hour to go.
    const first: AttemptResult = {
      state: 'retry',
      delayMs: 300,
      failure: failure(Date.now() + hour),
    }
    const { attempts } = await work(other, ({ number }) => (number === 2 ? first : done))
    await until(async () => (await other.entry(id)) === undefined)

    expect(attempts.map((attempt) => [attempt.id, attempt.number])).toEqual([
      [id, 2],
      [behind, 1],
      [id, 3],
    ])
    expect(await states(queue)).toEqual(['completed', 'completed'])
  })

  it('leaves one that was overtaken to its next worker, whatever the one before decides', async () => {
    const { inbox, queue } = await open()
    const order = orderOf(10)
    const id = await put(inbox, order)
    const decisions: ((verdict: AttemptResult) => void)[] = []
    const decide = () => new Promise<AttemptResult>((resolve) => decisions.push(resolve))
    const stale = await work(inbox, decide, 2)
    await until(() => decisions.length === 1)
    await change(queue, "heartbeat_on = now() - interval '1 hour'")
    await supervise(queue)
    // The second attempt, of the same worker, lets go: the delivery goes on as another job.
    await until(() => decisions.length === 2)
    decisions[1]?.(retry(20))
    await until(() => decisions.length === 3)

    decisions[0]?.(dead())
    await inbox.stop({ drainMs: 100 })
    expect(stale.attempts.map(({ number }) => number)).toEqual([1, 2, 3])
    expect(await inbox.entry(id)).toMatchObject({ state: 'waiting', attempts: 2 })
    decisions[2]?.(done)
    const next = await work(inbox, () => done)
    await until(async () => (await inbox.entry(id)) === undefined)
    expect(next.attempts.map(({ number }) => number)).toEqual([3])
  })
})
