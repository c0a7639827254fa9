import assert from 'node:assert/strict'
import type { Failure } from '../../inboxes/inbox.ts'
import { newGate } from '../gate.ts'
import {
  completed,
  dead,
  failureNow,
  type Harness,
  hour,
  newDeliveries,
  newDelivery,
  postponed,
  type Rule,
  retry,
} from './harness.ts'
import type { RecordingWorker, Run } from './recording-worker.ts'

/** How much too early a timer may fire, because of rounding, in ms. */
const roundingMs = 5

/** How far the server's clock may be from this machine's, in ms. */
const clockSkewMs = 60_000

/** What becomes of a delivery after an attempt. */
export function attemptResultRules(rule: Rule): void {
  rule('removes completed deliveries and never runs them again', async (harness) => {
    const deliveries = newDeliveries(20)
    await harness.put(deliveries)
    const worker = await harness.startWorker(harness.inbox)
    await harness.untilIdle()
    await harness.runSentinels()
    assert.equal(worker.runs.length, 20)
    for (const { key } of deliveries) assert.equal(await harness.inbox.entry(key), undefined)
    const nothing = { waiting: 0, running: 0, delayed: 0, dead: 0 }
    assert.deepEqual(await harness.inbox.stats(), nothing)
  })

  rule('shows other instances that a delivery is running', async (harness) => {
    const gate = newGate()
    const delivery = newDelivery()
    await harness.put(delivery)
    const worker = await harness.startWorker(harness.inbox, async () => {
      await gate.opened
      return completed
    })
    await harness.until('it runs', () => worker.running.length === 1)
    const expected = { id: delivery.key, state: 'running', attempts: 1, delivery }
    assert.deepEqual(await (await harness.reopen()).entry(delivery.key), expected)
    gate.open()
    await harness.untilIdle()
  })

  rule('waits for the delay before each retry, and numbers the attempts', async (harness) => {
    const delays = [300, 0, 150]
    const delivery = newDelivery()
    await harness.put(delivery)
    const worker = await harness.startWorker(harness.inbox, ({ number }) => {
      const delayMs = delays[number - 1]
      return delayMs === undefined ? completed : retry(delayMs)
    })
    await harness.untilIdle()
    assert.deepEqual(worker.numbersOf(delivery), [1, 2, 3, 4])
    for (const [index, delayMs] of delays.entries()) assertApart(worker, index, delayMs)
  })

  rule('counts attempts without a limit', async (harness) => {
    const delivery = newDelivery()
    await harness.put(delivery)
    const worker = await harness.startWorker(harness.inbox, ({ number }) =>
      number < 30 ? retry(0) : completed,
    )
    await harness.untilIdle()
    const numbers = Array.from({ length: 30 }, (_, index) => index + 1)
    assert.deepEqual(worker.numbersOf(delivery), numbers)
  })

  for (const [name, delayMs] of [
    ['an hour', hour],
    ['30 days', 30 * 24 * hour],
  ] as const) {
    rule(`delays a retry by ${name} and keeps its failure`, async (harness) => {
      const delivery = newDelivery()
      const failure = oddFailure()
      await harness.put(delivery)
      const worker = await harness.startWorker(harness.inbox, () => retry(delayMs, failure))
      await untilState('delayed', harness, delivery.key)
      const { dueAt, ...entry } = (await harness.inbox.entry(delivery.key)) ?? assert.fail()
      const expected = { id: delivery.key, state: 'delayed', attempts: 1, failure, delivery }
      assert.deepEqual(entry, expected)
      assertSoon(dueAt, Date.now() + delayMs)
      await harness.runSentinels()
      assert.deepEqual(worker.numbersOf(delivery), [1])
    })
  }

  rule(
    'waits before a postponed delivery runs again, and does not count the attempt',
    async (harness) => {
      const delivery = newDelivery()
      await harness.put(delivery)
      const results = [
        postponed(200),
        postponed(0),
        retry(0),
        postponed(0),
        postponed(100),
        retry(0),
        completed,
      ]
      const worker = await harness.startWorker(harness.inbox, () => results.shift() ?? completed)
      await harness.untilIdle()
      assert.deepEqual(worker.numbersOf(delivery), [1, 1, 1, 2, 2, 2, 3])
      assertApart(worker, 0, 200)
      assertApart(worker, 4, 100)
    },
  )

  rule('shows a postponed delivery as delayed, with only its earlier attempts', async (harness) => {
    const [fresh, failed] = newDeliveries(2)
    assert.ok(fresh && failed)
    const failure = oddFailure()
    await harness.put([fresh, failed])
    const decide = ({ id, number }: Run) =>
      id === failed.key && number === 1 ? retry(0, failure) : postponed(hour)
    await harness.startWorker(harness.inbox, decide)
    await harness.until('both are delayed for an hour', async () => {
      const entries = await Promise.all([fresh, failed].map(({ key }) => harness.inbox.entry(key)))
      return entries.every((entry) => Number(entry?.dueAt) > Date.now() + hour / 2)
    })
    const first = await harness.inbox.entry(fresh.key)
    assert.deepEqual([first?.state, first?.attempts, first?.failure], ['delayed', 0, undefined])
    assertSoon(first?.dueAt, Date.now() + hour)
    const second = await harness.inbox.entry(failed.key)
    assert.deepEqual([second?.state, second?.attempts], ['delayed', 1])
    assert.deepEqual(second?.failure, failure)
  })

  rule('keeps a dead letter with its bytes and failure, and does not run it', async (harness) => {
    const [atOnce, eventually] = newDeliveries(2)
    assert.ok(atOnce && eventually)
    const failure = oddFailure()
    await harness.put([atOnce, eventually])
    const worker = await harness.startWorker(harness.inbox, ({ id, number }) =>
      id === atOnce.key || number === 3 ? dead(failure) : retry(0),
    )
    await harness.untilIdle()
    await harness.runSentinels()
    for (const [delivery, attempts] of [
      [atOnce, 1],
      [eventually, 3],
    ] as const) {
      const expected = { id: delivery.key, state: 'dead', attempts, failure, delivery }
      assert.deepEqual(await harness.inbox.entry(delivery.key), expected)
      assert.equal(worker.numbersOf(delivery).length, attempts)
    }
  })
}

/** Waits until a delivery is in a state. */
export async function untilState(state: string, harness: Harness, key: string): Promise<void> {
  await harness.until(`a delivery is ${state}`, async () => {
    return (await harness.inbox.entry(key))?.state === state
  })
}

/** A failure of maximum length, with characters that break SQL, JSON and encodings. */
function oddFailure(): Failure {
  const text = `it's "so" 100% \\n {{x}} \${y} 日本 🎉\nsecond line `
  return failureNow(text.padEnd(1_000, 'x'))
}

/** Fails if an attempt started before its delay had passed. */
function assertApart({ runs }: RecordingWorker, index: number, delayMs: number): void {
  const [one, next] = runs.slice(index)
  const apart = Number(next?.startedAt) - Number(one?.endedAt)
  assert.ok(apart >= delayMs - roundingMs, `run again after ${apart} ms instead of ${delayMs}`)
}

function assertSoon(time: number | undefined, expected: number): void {
  const apart = Math.abs(Number(time) - expected)
  assert.ok(apart < clockSkewMs, `due at ${time}, and should be at ${expected}`)
}
