import assert from 'node:assert/strict'
import type { StoredDelivery } from '../../inboxes/inbox.ts'
import { newGate } from '../gate.ts'
import { times } from '../times.ts'
import { dead, hour, idsOf, newDeliveries, newDelivery, type Rule, retry } from './harness.ts'

/** What put() stores: every delivery, byte for byte, once. */
export function putRules(rule: Rule): void {
  rule('once put() resolves, every instance sees the delivery', async (harness) => {
    const other = await harness.reopen()
    for (const delivery of newDeliveries(10)) {
      const { key } = delivery
      assert.equal(await harness.inbox.put(delivery, { key }), 'accepted')
      const expected = { id: key, state: 'waiting', attempts: 0, delivery }
      assert.deepEqual(await other.entry(key), expected)
      assert.deepEqual(await harness.inbox.entry(key), expected)
    }
  })

  rule(
    'accepts one of 50 copies put simultaneously on two instances, and runs it once',
    async (harness) => {
      const inboxes = [harness.inbox, await harness.reopen()]
      const copy = newDelivery()
      const answers = await times(50, (index) => {
        const inbox = inboxes[index % 2] ?? harness.inbox
        return inbox.put(copy, { key: copy.key })
      })
      assert.equal(answers.filter((answer) => answer === 'accepted').length, 1)
      assert.equal(answers.filter((answer) => answer === 'duplicate').length, 49)
      const worker = await harness.startWorker(harness.inbox)
      await harness.untilIdle()
      await harness.runSentinels()
      assert.deepEqual(worker.ids, [copy.key])
    },
  )

  rule(
    'answers duplicate to a copy of a waiting, running, delayed or dead delivery, and changes nothing',
    async (harness) => {
      const [running, delayed, parked, waiting] = fourOf(newDeliveries(4))
      const gate = newGate()
      const worker = await harness.startWorker(harness.inbox, async ({ id }) => {
        if (id === running.key) await gate.opened
        if (id === delayed.key) return retry(hour)
        return id === parked.key ? dead() : { state: 'completed' }
      })
      await harness.put([running, delayed, parked])
      await harness.until('all three have been run', async () => {
        const { delayed: late, dead: letters } = await harness.inbox.stats()
        return late === 1 && letters === 1 && worker.running.length === 1
      })
      const other = await harness.reopen()
      const stats = await other.stats()
      for (const inbox of [harness.inbox, other]) {
        for (const { key } of [running, delayed, parked]) {
          const before = await inbox.entry(key)
          const copy = newDelivery({ key, body: 'b3RoZXI=' })
          assert.equal(await inbox.put(copy, { key }), 'duplicate')
          assert.deepEqual(await inbox.entry(key), before)
        }
      }
      assert.deepEqual(await other.stats(), stats)
      await harness.inbox.stop({ drainMs: 0 })
      await harness.put(waiting)
      const copy = { ...waiting, body: 'b3RoZXI=' }
      assert.equal(await other.put(copy, { key: waiting.key }), 'duplicate')
      assert.deepEqual((await harness.inbox.entry(waiting.key))?.delivery, waiting)
      gate.open()
    },
  )

  rule(
    'hands deliveries to process() unchanged, whatever their bytes and characters',
    async (harness) => {
      const deliveries = oddDeliveries()
      const worker = await harness.startWorker(harness.inbox, () => dead())
      await harness.put(deliveries)
      await harness.untilIdle()
      const given = new Map(worker.runs.map(({ id, delivery }) => [id, delivery]))
      for (const delivery of deliveries) {
        assert.deepEqual(given.get(delivery.key), delivery)
        assert.deepEqual((await harness.inbox.entry(delivery.key))?.delivery, delivery)
      }
    },
  )

  rule('hands over a body of 1 MiB in full', async (harness) => {
    const bytes = Buffer.from(Array.from({ length: 2 ** 20 }, (_, index) => (index * 31) % 256))
    const large = newDelivery({ body: bytes.toString('base64') })
    await harness.put(large)
    assert.deepEqual((await harness.inbox.entry(large.key))?.delivery, large)
    const worker = await harness.startWorker(harness.inbox)
    await harness.untilIdle()
    assert.deepEqual(worker.runs[0]?.delivery, large)
  })

  rule(
    'accepts any text of up to 200 characters as a key, and never confuses two keys',
    async (harness) => {
      const deliveries = oddKeys.map((key) => newDelivery({ key }))
      await harness.put(deliveries)
      for (const { key } of deliveries) {
        assert.equal(await harness.inbox.put(newDelivery({ key }), { key }), 'duplicate')
      }
      const worker = await harness.startWorker(harness.inbox, () => dead())
      await harness.untilIdle()
      assert.deepEqual(worker.ids.toSorted(), oddKeys.toSorted())
      for (const delivery of deliveries) {
        const entry = await harness.inbox.entry(delivery.key)
        assert.deepEqual([entry?.id, entry?.delivery], [delivery.key, delivery])
        assert.equal(await harness.inbox.discard(delivery.key), true)
      }
    },
  )

  rule('runs each of 500 deliveries put simultaneously on two instances once', async (harness) => {
    const inboxes = [harness.inbox, await harness.reopen()]
    const deliveries = newDeliveries(500)
    const worker = await harness.startWorker(harness.inbox)
    const answers = await times(500, (index) => {
      const delivery = deliveries[index] ?? assert.fail()
      return (inboxes[index % 2] ?? harness.inbox).put(delivery, { key: delivery.key })
    })
    assert.deepEqual(new Set(answers), new Set(['accepted']))
    await harness.untilIdle()
    await harness.runSentinels()
    assert.deepEqual(worker.ids.toSorted(), idsOf(deliveries).toSorted())
    const given = new Map(worker.runs.map(({ id, delivery }) => [id, delivery]))
    for (const delivery of deliveries) assert.deepEqual(given.get(delivery.key), delivery)
  })
}

type Four = [StoredDelivery, StoredDelivery, StoredDelivery, StoredDelivery]

function fourOf(deliveries: readonly StoredDelivery[]): Four {
  assert.equal(deliveries.length, 4)
  return deliveries as Four
}

const oddText = `'"\\\`%_$1 {{x}} \${y} ;-- \u00e9 e\u0301 日本 🎉 \u200b`

/** Deliveries that break naive SQL, keys, paths and encodings. */
function oddDeliveries(): StoredDelivery[] {
  const everyByte = Buffer.from(Array.from({ length: 256 }, (_, index) => index))
  return [
    newDelivery({ body: '' }),
    newDelivery({ body: everyByte.toString('base64') }),
    newDelivery({ body: 'AA==' }),
    newDelivery({ type: oddText, sentAs: ` ${oddText} `, eventId: '', namespace: oddText }),
    newDelivery({ type: 'null', sentAs: '007', eventId: '1e3', namespace: '[]' }),
    newDelivery({ headers: {} }),
    newDelivery({
      headers: {
        'x-many': ['one', 'two', ''],
        'x-one': ['one'],
        'x-none': [],
        'x-empty': '',
        'x-text': oddText,
        'x-json': '{"a":1}',
        'x-number': '1.0',
        constructor: 'a name of every object',
        data: 'd',
        id: 'i',
        '0': 'a name like an index',
      },
    }),
    newDelivery({ receivedAt: 0 }),
    newDelivery({ receivedAt: 8_640_000_000_000_000 }),
  ]
}

const oddKeys = [
  'key',
  'Key',
  'key ',
  ' key',
  '0',
  '00',
  '7',
  '-1',
  '1e3',
  'null',
  'a:b',
  'a:b:c',
  ':',
  '{key}',
  '../key',
  'key/*',
  'a,b',
  '%',
  '_',
  '"',
  "'; --",
  '\\',
  '\u00e9',
  'e\u0301',
  '🎉',
  '日本',
  'constructor',
  `${'x'.repeat(199)}a`,
  `${'x'.repeat(199)}b`,
  `${'é'.repeat(199)}a`,
  `${'é'.repeat(199)}b`,
]
