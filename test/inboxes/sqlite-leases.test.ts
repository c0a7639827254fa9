import type { Clock, Inbox } from 'ringhook'
import { sqliteInbox } from 'ringhook/inboxes/sqlite'
import { type ManualClock, manualClock } from 'ringhook/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { open, turns } from '../stores/sqlite-files.ts'
import { done, failure, newInbox, put, work } from './sqlite-files.ts'

const leaseMs = 30_000
const minute = 60_000

describe('the lease of a delivery', () => {
  it('is renewed for as long as its handler runs', async () => {
    const clock = manualClock()
    const { file, inbox } = await newInbox({ clock, leaseMs })
    const other = beside(file, clock)
    await put(inbox, 'event')
    const first = await work(inbox)
    await turns(20)
    const second = await work(other)

    await clock.advance(10 * leaseMs)
    expect([first.runs, second.runs]).toEqual([['event 1'], []])
    first.end('event', done)
    await turns(20)

    expect(await inbox.entry('event')).toBeUndefined()
  })

  it('is lost by a worker that is halted, and what that worker decides changes nothing', async () => {
    const clock = manualClock()
    const { file, inbox } = await newInbox({ clock: manualClock(clock.now()), leaseMs })
    const other = beside(file, clock)
    await put(inbox, 'event')
    const halted = await work(inbox)
    await turns(20)
    const second = await work(other)

    await clock.advance(leaseMs - 100)
    expect(second.runs).toEqual([])
    await clock.advance(200)
    expect(second.runs).toEqual(['event 2'])
    const before = await other.entry('event')
    expect(before).toMatchObject({ state: 'running', attempts: 2 })

    halted.end('event', { state: 'dead', failure })
    await turns(20)
    expect(await other.entry('event')).toEqual(before)
    await inbox.stop()
    expect(await other.entry('event')).toEqual(before)
    second.end('event', done)
    await turns(20)
    expect(await other.entry('event')).toBeUndefined()
  })

  it('is not taken by a worker from itself when its process was halted', async () => {
    const clock = manualClock()
    let haltMs = 0
    const skewed: Clock = { ...clock, now: () => clock.now() + haltMs }
    const { inbox } = await newInbox({ clock: skewed, leaseMs })
    const { end, runs } = await work(inbox)
    await put(inbox, 'event')
    await turns(20)

    haltMs = 2 * leaseMs
    await put(inbox, 'other')
    await clock.advance(1_000)

    expect(runs).toEqual(['event 1', 'other 1'])
    end('event', done)
    await turns(20)
    expect(await inbox.entry('event')).toBeUndefined()
  })

  it('is not renewed once its worker could not carry out the verdict', async () => {
    const clock = manualClock()
    const { database, file, inbox } = await newInbox({ clock, leaseMs })
    const { end, errors, runs } = await work(inbox)
    await put(inbox, 'event')
    await turns(20)
    const blocker = `CREATE TRIGGER blocker BEFORE DELETE ON ringhook_inbox
      BEGIN SELECT raise(ABORT, 'no'); END`
    database.exec(blocker)

    end('event', done)
    await turns(20)
    expect(errors).toMatchObject([{ code: 'RINGHOOK_STORE_NOT_MIGRATED' }])
    open(file).exec('DROP TRIGGER blocker')
    await clock.advance(leaseMs + 200)

    expect(runs).toEqual(['event 1', 'event 2'])
  })
})

describe('the order of an ordering key', () => {
  const order = { key: 'call', maxHoldMs: minute }

  it('is kept for maxHoldMs from the first failure on, to the millisecond', async () => {
    const clock = manualClock()
    const { inbox } = await newInbox({ clock, pollMs: 1 })
    const { end, runs } = await work(inbox)
    for (const key of ['a', 'b', 'c']) await put(inbox, key, order)
    await turns(20)

    end('a', { state: 'retry', delayMs: 40_000, failure })
    await turns(20)
    await clock.advance(40_000)
    expect(runs).toEqual(['a 1', 'a 2'])
    end('a', { state: 'retry', delayMs: minute, failure })
    await clock.advance(19_999)
    expect(runs).toEqual(['a 1', 'a 2'])
    expect((await inbox.entry('b'))?.state).toBe('waiting')
    await clock.advance(1)
    expect(runs).toEqual(['a 1', 'a 2', 'b 1'])

    // What was overtaken waits for what overtook it, and not for all behind that.
    await clock.advance(minute)
    expect(await inbox.entry('a')).toMatchObject({ state: 'waiting' })
    end('b', done)
    await turns(20)
    expect(runs.slice(3)).toEqual(['a 3', 'c 1'])
  })

  it('is kept by what a crash has interrupted, and from then on for maxHoldMs', async () => {
    const clock = manualClock()
    const { file, inbox } = await newInbox({ clock: manualClock(clock.now()), leaseMs })
    for (const key of ['a', 'b']) await put(inbox, key, order)
    await work(inbox)
    await turns(20)
    const other = beside(file, clock)
    const { end, runs } = await work(other)

    await clock.advance(leaseMs + 200)
    expect(runs).toEqual(['a 2'])
    end('a', { state: 'postponed', delayMs: 10 * minute })
    await clock.advance(minute - 1_000)
    expect(runs).toEqual(['a 2'])
    await clock.advance(1_200)
    expect(runs).toEqual(['a 2', 'b 1'])
  })

  it('is not broken by a claim that takes many at once', async () => {
    const { inbox } = await newInbox()
    for (const key of ['a1', 'a2', 'b1', 'a3', 'b2', 'free']) {
      await put(inbox, key, key === 'free' ? undefined : { ...order, key: key.charAt(0) })
    }
    const { end, running } = await work(inbox)
    await turns(30)
    expect([...running.keys()]).toEqual(['a1', 'b1', 'free'])

    end('a1', { state: 'dead', failure })
    end('b1', done)
    await turns(30)
    expect([...running.keys()]).toEqual(['free', 'a2', 'b2'])
  })

  it('makes a replayed delivery wait for one of its key that runs, and goes before the others', async () => {
    const { inbox } = await newInbox()
    for (const key of ['a', 'b', 'c']) await put(inbox, key, order)
    const { end, runs } = await work(inbox)
    await turns(20)
    end('a', { state: 'dead', failure })
    await turns(20)
    expect(runs).toEqual(['a 1', 'b 1'])

    expect(await inbox.replay('a')).toBe(true)
    await turns(20)
    expect(runs).toEqual(['a 1', 'b 1'])
    expect(await inbox.entry('a')).toMatchObject({ state: 'waiting', attempts: 0 })
    for (const key of ['b', 'a', 'c']) {
      end(key, done)
      await turns(20)
    }

    expect(runs).toEqual(['a 1', 'b 1', 'a 1', 'c 1'])
    expect(await inbox.stats()).toMatchObject({ waiting: 0, running: 0, dead: 0 })
  })

  it('goes on when a replayed delivery waited for one whose worker died', async () => {
    const clock = manualClock()
    const { file, inbox } = await newInbox({ clock: manualClock(clock.now()), leaseMs })
    for (const key of ['a', 'b', 'c']) await put(inbox, key, order)
    const { end } = await work(inbox)
    await turns(20)
    end('a', { state: 'dead', failure })
    await turns(20)
    const other = beside(file, clock)
    const second = await work(other)
    expect(await other.replay('a')).toBe(true)
    await turns(20)
    expect(second.runs).toEqual([])

    // The first stands still from here on: nobody will ever say how 'b' ended.
    await clock.advance(leaseMs + 200)
    for (const key of ['a', 'b', 'c']) {
      second.end(key, done)
      await turns(20)
    }

    expect(second.runs).toEqual(['a 1', 'b 2', 'c 1'])
    expect(await other.stats()).toMatchObject({ waiting: 0, running: 0, dead: 0 })
  })

  it('does not keep others waiting behind more of one key than a claim looks at', async () => {
    const { database, inbox } = await newInbox({ clock: manualClock() })
    const keys = Array.from({ length: 1_200 }, (_, index) => `event-${index}`)
    await Promise.all(keys.map((key) => put(inbox, key, order)))
    // As those come that waited for a hold, which is over for all of them at one moment.
    database.exec('UPDATE ringhook_inbox SET state = 0, due_at = 1')
    await put(inbox, 'free')

    const { runs } = await work(inbox, 2)
    await turns(50)
    expect(runs).toEqual(['event-0 1', 'free 1'])
  })

  it('goes on when what the others wait for is discarded', async () => {
    const clock = manualClock()
    const { inbox } = await newInbox({ clock })
    for (const key of ['a', 'b']) await put(inbox, key, order)
    const { end, runs } = await work(inbox)
    await turns(20)
    expect(await inbox.discard('a')).toBe(false)
    end('a', { state: 'retry', delayMs: minute, failure })
    await turns(20)

    expect(await inbox.discard('a')).toBe(true)
    await turns(20)
    expect(runs).toEqual(['a 1', 'b 1'])
  })

  it('does not make claims pass over thousands that wait', async () => {
    const { database, inbox } = await newInbox()
    const keys = Array.from({ length: 3_000 }, (_, index) => `event-${index}`)
    await Promise.all(keys.map((key) => put(inbox, key, order)))
    const due = database
      .prepare('SELECT count(*) FROM ringhook_inbox WHERE due_at NOT NULL')
      .pluck()
    expect(due.get()).toBe(1)

    const { end, runs } = await work(inbox)
    await turns(30)
    for (const key of keys.slice(0, 20)) {
      end(key, done)
      await turns(10)
    }
    expect(runs).toEqual(keys.slice(0, 21).map((key) => `${key} 1`))
    expect(due.get()).toBe(1)
  })
})

describe('replay', () => {
  it('is seen by the worker of its process at once', async () => {
    const { inbox } = await newInbox({ clock: manualClock() })
    const { end, runs } = await work(inbox)
    await put(inbox, 'event')
    await turns(20)
    end('event', { state: 'dead', failure })
    await turns(20)
    expect(await inbox.entry('event')).toMatchObject({ state: 'dead', attempts: 1, failure })

    expect(await inbox.replay('event')).toBe(true)
    expect(await inbox.replay('event')).toBe(false)
    await turns(20)
    expect(runs).toEqual(['event 1', 'event 1'])
  })
})

describe('stop', () => {
  it('gives back what is not done, at once and without counting the attempt', async () => {
    const clock = manualClock()
    const { file, inbox } = await newInbox({ clock })
    await put(inbox, 'event')
    const { end, runs } = await work(inbox)
    await turns(20)

    const stopped = inbox.stop({ drainMs: 5_000 })
    await clock.advance(4_999)
    expect(await inbox.stats()).toMatchObject({ running: 1 })
    await clock.advance(1)
    await stopped
    expect(await inbox.entry('event')).toMatchObject({ state: 'waiting', attempts: 0 })

    end('event', { state: 'dead', failure })
    await turns(20)
    expect(runs).toEqual(['event 1'])
    const next = await work(beside(file, clock))
    await turns(20)
    expect(next.runs).toEqual(['event 1'])
  })

  it('leaves the inbox able to accept, and to start again', async () => {
    const { inbox } = await newInbox()
    await work(inbox)
    await inbox.stop()
    expect(await put(inbox, 'event')).toBe('accepted')
    await turns(20)
    expect(await inbox.stats()).toMatchObject({ waiting: 1 })

    const { runs } = await work(inbox)
    await turns(20)
    expect(runs).toEqual(['event 1'])
  })
})

/** Another inbox on a file, as of another process with a clock of its own. */
function beside(file: string, clock: ManualClock): Inbox {
  const inbox = sqliteInbox(open(file), { clock, leaseMs })
  onTestFinished(() => inbox.stop())
  return inbox
}
