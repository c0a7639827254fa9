import { callkaro, createReceiver, krosai, type ReceiverOptions } from 'ringhook'
import { deliver, manualClock, signedRequest, simulateProvider } from 'ringhook/testing'
import { afterEach, describe, expect, it, vi } from 'vitest'
import type { AnyOptions } from '../helpers/endpoint.ts'

const secret = 'a secret for tests'
const year = 365 * 24 * 3_600_000

/** Everything that Vitest can take away in a process of its own; Jest's consumer lacks `nextTick` too. */
const everything = [
  'setTimeout',
  'clearTimeout',
  'setInterval',
  'clearInterval',
  'setImmediate',
  'clearImmediate',
  'queueMicrotask',
  'performance',
  'hrtime',
  'Date',
] as const

function receiverWith(options: AnyOptions = {}) {
  return createReceiver(krosai, {
    secret,
    on: { '*': () => {} },
    logger: false,
    ...options,
  } as ReceiverOptions<typeof krosai>)
}

afterEach(() => {
  vi.useRealTimers()
})

describe('under a mocked Date', () => {
  it.each([
    ['forwards', year],
    ['back', -year],
  ])('delivers with the date moved %s, and after it', async (_, byMs) => {
    const receiver = receiverWith()
    const outcomes = [(await deliver(receiver, 'call.completed')).outcome]
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + byMs })
    for (let time = 0; time < 3; time++) {
      outcomes.push((await deliver(receiver, 'call.completed')).outcome)
    }
    vi.useRealTimers()
    for (let time = 0; time < 3; time++) {
      outcomes.push((await deliver(receiver, 'call.completed')).outcome)
    }
    expect(outcomes).toEqual(new Array(7).fill('handled'))
  })

  it('delivers by the receiver’s own clock, whatever the date is', async () => {
    const receiver = receiverWith({ clock: manualClock(), clockToleranceMs: 0 })
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + year })
    expect(await deliver(receiver, 'call.completed')).toMatchObject({ outcome: 'handled' })
  })

  it('stamps no event ahead of a clock that stands still, and no two alike', async () => {
    const now = new Date('2026-01-10T12:00:00Z')
    vi.useFakeTimers({ toFake: ['Date'], now })
    const body = { event: 'call.started', timestamp: '', data: {} }
    const stamps = Array.from({ length: 10_500 }, () => {
      const sent = JSON.parse(signedRequest(callkaro, body).body)
      return Date.parse(sent.timestamp)
    })
    expect(new Set(stamps).size).toBe(stamps.length)
    expect(Math.max(...stamps)).toBe(now.getTime())
    const receiver = receiverWith({ clockToleranceMs: 0 })
    for (let time = 0; time < 3; time++) {
      expect(await deliver(receiver, 'call.completed')).toMatchObject({ outcome: 'handled' })
    }
  })
})

describe('under fake timers', () => {
  it('delivers, and duplicates', async () => {
    vi.useFakeTimers({ toFake: [...everything] })
    const runs: string[] = []
    const receiver = receiverWith({
      on: {
        'call.completed': async ({ id }) => {
          await Promise.resolve()
          runs.push(id)
        },
      },
    })
    const { outcome, duplicates } = await deliver(receiver, 'call.completed', { duplicate: 3 })
    expect([outcome, ...duplicates.map((copy) => copy.outcome)].sort()).toEqual([
      'duplicate',
      'duplicate',
      'duplicate',
      'handled',
    ])
    expect(runs).toHaveLength(1)
    await receiver.idle()
    expect(await receiver.close()).toEqual({ drained: true, running: 0 })
  })

  it('goes on with a manual clock', async () => {
    vi.useFakeTimers({ toFake: [...everything] })
    const clock = manualClock()
    const receiver = receiverWith({ clock, on: { '*': () => clock.sleep(60_000) } })
    const delivered = deliver(receiver, 'call.completed')
    await clock.advance(60_000)
    expect((await delivered).outcome).toBe('timed_out')
  })

  it('plays a provider to the end of its retries', async () => {
    vi.useFakeTimers({ toFake: [...everything] })
    const clock = manualClock()
    const receiver = receiverWith({
      clock,
      on: {
        '*': async () => {
          await clock.sleep(100)
          throw new Error('the CRM is down')
        },
      },
    })
    const simulation = simulateProvider(krosai, { target: receiver, patienceMs: 1 })
    simulation.send('call.completed')
    const { attempts, undelivered } = await simulation.run()
    expect(attempts.map(({ status }) => status)).toEqual([500, 500, 500, 500, 500])
    expect(undelivered).toEqual([0])
  })
})

describe('where there is no fetch, as in jsdom', () => {
  it('says so in place of an event that was never delivered', async () => {
    vi.stubGlobal('fetch', undefined)
    const simulation = simulateProvider(krosai, { target: 'http://127.0.0.1:9/hooks', secret })
    simulation.send('call.completed')
    await expect(simulation.run()).rejects.toMatchObject({
      code: 'RINGHOOK_OPTION_INVALID',
      message: expect.stringContaining('@jest-environment node'),
    })
    vi.unstubAllGlobals()
  })
})
