import Database from 'better-sqlite3'
import { createReceiver, type IdempotencyStore, krosai, memoryStore } from 'ringhook'
import { sqliteStore } from 'ringhook/stores/sqlite'
import { deliver } from 'ringhook/testing'
import { describe, expect, it } from 'vitest'
import { type ManualClock, manualClock } from '../../src/testing/manual-clock.ts'
import { endpoint, seen, start } from '../helpers/endpoint.ts'

/** A store whose server fails over to a replica that has nothing yet. */
function failingOver(clock: ManualClock): { store: IdempotencyStore; failOver(): void } {
  let current = memoryStore({ clock })
  return {
    store: {
      claim: (...asked) => current.claim(...asked),
      extend: (...asked) => current.extend(...asked),
      complete: (...asked) => current.complete(...asked),
      release: (...asked) => current.release(...asked),
      forget: (...asked) => current.forget(...asked),
      status: (...asked) => current.status(...asked),
    },
    failOver: () => {
      current = memoryStore({ clock })
    },
  }
}

describe('store, when it forgets an event whose handler runs', () => {
  it('is marked when the handler ends, and a repeat is a duplicate', async () => {
    const clock = manualClock(start)
    const { store, failOver } = failingOver(clock)
    const {
      deliver: send,
      runs,
      outcomes,
      lines,
    } = endpoint({
      clock,
      store,
      handle: () => clock.sleep(5_000),
    })
    const first = send()
    await clock.advance(1_000)
    failOver()
    await clock.advance(4_000)
    expect(seen(await first)).toBe('200 handled')
    expect(outcomes[0]).not.toHaveProperty('completionLost')
    expect(seen(await send())).toBe('200 duplicate')
    expect(runs).toHaveLength(1)
    expect(lines).toEqual([expect.stringMatching(/^warn .*had forgotten an event.*failover/)])
  })

  it('is told by the signal, with the true cause', async () => {
    const clock = manualClock(start)
    const { store, failOver } = failingOver(clock)
    const {
      deliver: send,
      runs,
      lines,
    } = endpoint({
      clock,
      store,
      handle: () => clock.sleep(15_000),
    })
    void send()
    await clock.advance(1_000)
    failOver()
    await clock.advance(9_000)
    const reason = runs[0]?.context.signal.reason
    expect(reason).toMatchObject({ code: 'RINGHOOK_LEASE_LOST' })
    expect(reason.message).toMatch(/store has forgotten the claim.*failover/)
    expect(reason.message).not.toMatch(/has taken over|leaseMs/)
    await clock.advance(10_000)
    expect(seen(await send())).toBe('200 duplicate')
    expect(lines.join()).not.toMatch(/taken over|leaseMs/)
  })

  it('stays with the run that began meanwhile, and the cause is named', async () => {
    const clock = manualClock(start)
    const { store, failOver } = failingOver(clock)
    const first = endpoint({ clock, store, handle: () => clock.sleep(5_000) })
    const second = endpoint({ clock, store, handle: () => clock.sleep(9_000) })
    const answer = first.deliver()
    await clock.advance(1_000)
    failOver()
    const other = second.deliver()
    await clock.advance(4_000)
    expect(seen(await answer)).toBe('200 handled')
    expect(first.outcomes[0]).toMatchObject({ completionLost: true })
    expect(first.lines.at(-1)).toMatch(/taken over although the lease had not run out.*forgotten/)
    expect(first.lines.at(-1)).not.toContain('raise leaseMs')
    await clock.advance(5_000)
    expect(seen(await other)).toBe('200 handled')
    expect(second.outcomes[0]).not.toHaveProperty('completionLost')
  })

  it('is left alone after a run that took over has failed', async () => {
    const clock = manualClock(start)
    const { store, failOver } = failingOver(clock)
    const first = endpoint({ clock, store, handle: () => clock.sleep(5_000) })
    const second = endpoint({ clock, store, handle: () => Promise.reject(new Error('no')) })
    const answer = first.deliver()
    await clock.advance(1_000)
    failOver()
    expect(seen(await second.deliver())).toMatch(/^500 failed/)
    await clock.advance(4_000)
    expect(seen(await answer)).toBe('200 handled')
    expect(first.outcomes[0]).toMatchObject({ completionLost: true })
    const third = endpoint({ clock, store })
    expect(seen(await third.deliver())).toBe('200 handled')
  })

  it('is reported as completionLost where the store cannot be asked for it again', async () => {
    const clock = manualClock(start)
    const { store } = failingOver(clock)
    let claims = 0
    const { deliver: send, outcomes } = endpoint({
      clock,
      store: {
        ...store,
        claim: (...asked) =>
          claims++ === 0 ? store.claim(...asked) : Promise.reject(new Error('away')),
        complete: async () => false,
      },
    })
    expect(seen(await send())).toBe('200 handled')
    expect(outcomes[0]).toMatchObject({ completionLost: true, error: { message: 'away' } })
  })

  it('does not blame the lease alone to a handler that completes it itself', async () => {
    const clock = manualClock(start)
    const { store } = failingOver(clock)
    const { deliver: send, outcomes } = endpoint({
      clock,
      store: { ...store, complete: async () => false },
      handle: (_event, context) => context.complete({}),
    })
    expect(seen(await send())).toMatch(/^500 failed/)
    expect(outcomes[0]?.error).toMatchObject({
      code: 'RINGHOOK_LEASE_LOST',
      message: expect.stringMatching(/Either the lease ran out.*Or the store has forgotten/),
    })
  })

  it('is marked in a real store whose table was emptied', async () => {
    const database = new Database(':memory:')
    const store = sqliteStore(database)
    await store.migrate()
    let runs = 0
    const receiver = createReceiver(krosai, {
      secret: 'a secret for tests',
      store,
      logger: false,
      on: {
        'call.completed': () => {
          if (runs++ === 0) database.exec('DELETE FROM ringhook_events')
        },
      },
    })
    const delivery = await deliver(receiver, 'call.completed', { duplicate: 2 })
    expect(delivery.outcome).toBe('handled')
    expect(delivery.duplicates.map(({ outcome }) => outcome)).toEqual(['duplicate', 'duplicate'])
    expect(runs).toBe(1)
  })
})
