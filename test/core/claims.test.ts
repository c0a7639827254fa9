import type { Claim, IdempotencyStore } from 'ringhook'
import { describe, expect, it } from 'vitest'
import { Delivery } from '../../src/core/delivery.ts'
import { Claims } from '../../src/core/execution/claims.ts'
import { InFlightRegistry } from '../../src/core/execution/in-flight.ts'
import { CheckedRequest } from '../../src/core/request/request.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { start } from '../helpers/endpoint.ts'

function claimsWith(replies: readonly (() => Promise<Claim>)[]) {
  const clock = manualClock(start)
  const running = new InFlightRegistry(clock)
  let asked = 0
  const store: IdempotencyStore = {
    claim: () => (replies[asked++] ?? expect.fail)(),
    extend: async () => true,
    complete: async () => true,
    release: async () => true,
    forget: async () => 'unknown',
    status: async () => 'unknown',
  }
  const claims = new Claims({ store, clock, leaseMs: 30_000, onStoreError: 'process' }, running)
  const times = { receivedAtMs: start, startedAtMs: start, deadlineMs: start + 10_000 }
  const delivery = new Delivery(new CheckedRequest({}), times, 'claim')
  return { claims, clock, delivery, running, asked: () => asked }
}

const inFlight = async (): Promise<Claim> => ({ state: 'in_flight', retryAfterMs: 9_000 })
const completed = async (): Promise<Claim> => ({ state: 'completed', fingerprint: 'f' })

describe('a claim', () => {
  it('is tried again at once when a run of this process ended while the store was asked', async () => {
    const { claims, delivery, running, asked } = claimsWith([
      () => {
        running.ended++
        return inFlight()
      },
      completed,
    ])
    expect(await claims.claim(delivery)).toEqual(await completed())
    expect(asked()).toBe(2)
  })

  it('waits a little, and longer every time, for a run of another process', async () => {
    const { claims, clock, delivery, asked } = claimsWith([inFlight, inFlight, inFlight, completed])
    const claim = claims.claim(delivery)
    for (const [ms, times] of [
      [24, 1],
      [1, 2],
      [49, 2],
      [1, 3],
      [99, 3],
      [1, 4],
    ] as const) {
      await clock.advance(ms)
      expect(asked()).toBe(times)
    }
    expect((await claim).state).toBe('completed')
  })

  it('that fails after the store said that the event runs is not taken for leave to run without it', async () => {
    const { claims, delivery, running } = claimsWith([
      () => {
        running.ended++
        return inFlight()
      },
      () => Promise.reject(new Error('down')),
      () => Promise.reject(new Error('down')),
    ])
    await expect(claims.claim(delivery)).rejects.toThrow('down')
    expect(delivery.phase).toBe('holder')
  })
})
