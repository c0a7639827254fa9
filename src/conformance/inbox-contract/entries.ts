import assert from 'node:assert/strict'
import type { EntryFilter, Inbox, StoredEntry } from '../../inboxes/inbox.ts'
import { newGate } from '../gate.ts'
import {
  completed,
  dead,
  type Harness,
  hour,
  idsOf,
  newDeliveries,
  newDelivery,
  type Rule,
  retry,
} from './harness.ts'

/** More than any inbox reads per page. */
const many = 620

/** Lists, single entries and counts. */
export function entryRules(rule: Rule): void {
  rule('lists entries by state, type and time, oldest first', async (harness) => {
    const { deliveries, end } = await inAllStates(harness)
    const [first, second, third, fourth, fifth, sixth] = deliveries
    assert.ok(first && second && third && fourth && fifth && sixth)
    for (const inbox of [harness.inbox, await harness.reopen()]) {
      const listed = async (filter: EntryFilter) =>
        (await allEntries(inbox, filter)).map(({ id }) => id)
      const expect = async (filter: EntryFilter, expected: readonly (typeof first)[]) =>
        assert.deepEqual(await listed(filter), idsOf(expected), JSON.stringify(filter))
      await expect({}, deliveries)
      await expect({ state: 'delayed' }, [first, second])
      await expect({ state: 'dead' }, [third])
      await expect({ state: 'running' }, [fourth])
      await expect({ state: 'waiting' }, [fifth, sixth])
      await expect({ type: 'call.failed' }, [second, fourth, sixth])
      await expect({ type: 'call.failed', state: 'delayed' }, [second])
      await expect({ type: 'call' }, [])
      await expect({ since: new Date(third.receivedAt) }, [third, fourth, fifth, sixth])
      await expect({ since: new Date(third.receivedAt + 1), state: 'dead' }, [])
      await expect({ since: new Date(third.receivedAt), type: 'call.failed' }, [fourth, sixth])
      await expect({ since: new Date(third.receivedAt), type: 'call.failed', state: 'running' }, [
        fourth,
      ])
      await expect({ since: new Date(Date.now() + hour) }, [])
    }
    end()
  })

  rule('lists the same entries that entry() returns', async (harness) => {
    const { deliveries, end } = await inAllStates(harness)
    const listed = await allEntries(harness.inbox)
    assert.deepEqual(
      listed.map(({ state, attempts }) => [state, attempts]),
      [
        ['delayed', 1],
        ['delayed', 2],
        ['dead', 1],
        ['running', 1],
        ['waiting', 0],
        ['waiting', 0],
      ],
    )
    for (const [index, entry] of listed.entries()) {
      assert.deepEqual(entry, await harness.inbox.entry(entry.id))
      assert.deepEqual(entry.delivery, deliveries[index])
    }
    end()
  })

  rule(
    'returns no entry for an unknown id, and neither replays nor discards it',
    async (harness) => {
      for (const id of [newDelivery().key, '', 'key', '0', 'a:b', "'", '*', 'constructor']) {
        assert.equal(await harness.inbox.entry(id), undefined)
        assert.equal(await harness.inbox.replay(id), false)
        assert.equal(await harness.inbox.discard(id), false)
      }
      assert.deepEqual(await allEntries(harness.inbox), [])
    },
  )

  rule(`lists each of ${many} entries once, oldest first`, async (harness) => {
    const deliveries = newDeliveries(many)
    await harness.put(deliveries)
    const listed = (await allEntries(harness.inbox)).map(({ id }) => id)
    assert.deepEqual(listed, idsOf(deliveries))
    const waiting = await allEntries(harness.inbox, { state: 'waiting', since: new Date(0) })
    assert.equal(waiting.length, many)
    for await (const entry of harness.inbox.entries({})) {
      assert.equal(entry.id, deliveries[0]?.key)
      // Readers may stop early.
      break
    }
  })

  rule(
    'lists every remaining entry, and none twice, while entries are added and discarded',
    async (harness) => {
      const deliveries = newDeliveries(many)
      await harness.put(deliveries)
      const seen: string[] = []
      const gone = new Set<string>()
      for await (const { id } of harness.inbox.entries({})) {
        seen.push(id)
        if (seen.length % 3 !== 0) continue
        // Discards listed entries, so that those behind them move up.
        for (const old of [seen.at(-1), seen.at(-2)]) {
          if (old !== undefined && (await harness.inbox.discard(old))) gone.add(old)
        }
        if (seen.length < 300) await harness.put(newDelivery())
      }
      assert.equal(new Set(seen).size, seen.length, 'an entry was listed twice')
      const stays = idsOf(deliveries).filter((id) => !gone.has(id))
      assert.deepEqual(
        stays.filter((id) => !seen.includes(id)),
        [],
        'these stayed and were not listed',
      )
    },
  )

  rule('lists no entry twice while a worker runs', async (harness) => {
    const deliveries = newDeliveries(many)
    await harness.put(deliveries)
    const seen: string[] = []
    for await (const { id } of harness.inbox.entries({})) {
      seen.push(id)
      if (seen.length !== 100) continue
      const worker = await harness.startWorker(harness.inbox, ({ number }) =>
        number < 2 ? retry(20) : dead(),
      )
      await harness.until('many have changed their state', () => worker.runs.length >= 400)
    }
    assert.equal(new Set(seen).size, seen.length, 'an entry was listed twice')
    await harness.untilIdle()
  })

  rule(
    'stats() counts each state and dates the oldest delivery that is not dead',
    async (harness) => {
      const nothing = { waiting: 0, running: 0, delayed: 0, dead: 0 }
      assert.deepEqual(await harness.inbox.stats(), nothing)
      const deadLetter = newDelivery()
      await harness.put(deadLetter)
      await harness.startWorker(harness.inbox, () => dead())
      await harness.untilIdle()
      assert.deepEqual(await harness.inbox.stats(), { ...nothing, dead: 1 })
      await harness.inbox.stop()
      const { deliveries, end } = await inAllStates(harness)
      const [oldest] = deliveries
      const expected = { waiting: 2, running: 1, delayed: 2, dead: 2, oldest: oldest?.receivedAt }
      assert.deepEqual(await harness.inbox.stats(), expected)
      assert.deepEqual(await (await harness.reopen()).stats(), expected)
      end()
    },
  )

  for (const [name, result] of [
    ['waits', undefined],
    ['is delayed', retry(hour)],
  ] as const) {
    rule(`stats() dates the oldest delivery when it ${name}`, async (harness) => {
      const [oldest, ...others] = newDeliveries(3)
      assert.ok(oldest)
      await harness.put(oldest)
      if (result !== undefined) {
        await harness.startWorker(harness.inbox, () => result)
        await harness.until(
          'it is delayed',
          async () => (await harness.inbox.stats()).delayed === 1,
        )
        await harness.inbox.stop()
      }
      await harness.put(others)
      assert.equal((await harness.inbox.stats()).oldest, oldest.receivedAt)
    })
  }
}

/** Returns all entries that match a filter. */
export async function allEntries(inbox: Inbox, filter: EntryFilter = {}): Promise<StoredEntry[]> {
  const found: StoredEntry[] = []
  for await (const entry of inbox.entries(filter)) found.push(entry)
  return found
}

/**
 * Six deliveries, received in this order: two are delayed, one is dead, one runs until the end, two
 * wait. Every other is of another type.
 */
async function inAllStates(harness: Harness) {
  const gate = newGate()
  const deliveries = Array.from({ length: 6 }, (_, index) =>
    newDelivery({ type: index % 2 === 0 ? 'call.completed' : 'call.failed' }),
  )
  const [, twice, deadLetter] = idsOf(deliveries)
  await harness.put(deliveries.slice(0, 3))
  await harness.startWorker(harness.inbox, ({ id, number }) => {
    if (id === deadLetter) return dead()
    return retry(id === twice && number === 1 ? 0 : hour)
  })
  await harness.until('two are delayed for an hour', async () => {
    const { delayed, running } = await harness.inbox.stats()
    return (
      delayed === 2 && running === 0 && (await harness.inbox.entry(twice ?? ''))?.attempts === 2
    )
  })
  await harness.inbox.stop()
  await harness.put(deliveries.slice(3, 4))
  const worker = await harness.startWorker(harness.inbox, () => completed, 1)
  worker.wait(gate.opened)
  await harness.until('one runs', () => worker.running.length === 1)
  await harness.put(deliveries.slice(4))
  return { deliveries, end: gate.open }
}
