import { EventEmitter } from 'node:events'
import { memoryStore } from 'ringhook'
import { describe, expect, it } from 'vitest'
import { endpoint, event, gate, seen } from '../helpers/endpoint.ts'
import { handInbox } from '../helpers/hand-inbox.ts'

const refused = '503 unavailable RINGHOOK_SHUTTING_DOWN retry-after 30'

describe('close()', () => {
  it('answers 503 at once to an upload that never goes on, and does not wait for it', async () => {
    const { receiver, deliver, outcomes } = endpoint()
    const upload = deliver(event(), { body: halfUpload() })
    expect(await receiver.close()).toEqual({ drained: true, running: 0 })
    expect(seen(await upload)).toBe(refused)
    expect(outcomes).toMatchObject([{ status: 503, code: 'RINGHOOK_SHUTTING_DOWN' }])
    await receiver.idle()
  })

  it('answers 503 at once to a delivery whose secret does not come', async () => {
    const { receiver, deliver } = endpoint({ secret: () => new Promise(() => {}) })
    const reply = deliver()
    expect(await receiver.close()).toEqual({ drained: true, running: 0 })
    expect(seen(await reply)).toBe(refused)
  })

  it('answers 503 at once to a delivery that the store does not answer, and does not wait for it', async () => {
    const store = { ...bound(), claim: () => new Promise<never>(() => {}) }
    const { receiver, deliver } = endpoint({ store })
    const reply = deliver()
    const closing = receiver.close({ drainMs: Number.POSITIVE_INFINITY })
    expect(seen(await reply)).toBe(refused)
    expect(await closing).toEqual({ drained: true, running: 0 })
  })

  it('has given a claim back that was on its way, before it says that all is done', async () => {
    const memory = bound()
    const slow = gate()
    const store = {
      ...memory,
      claim: async (...values: Parameters<typeof memory.claim>) => {
        const claim = await memory.claim(...values)
        await slow.opened
        return claim
      },
    }
    const { receiver, deliver, runs } = endpoint({ store })
    const reply = deliver()
    const closing = receiver.close()
    expect(seen(await reply)).toBe(refused)
    slow.open()
    expect(await closing).toEqual({ drained: true, running: 0 })
    expect(runs).toEqual([])
    expect(seen(await endpoint({ store: memory }).deliver())).toBe('200 handled')
  })

  it('answers 503 at once to a repeat that waits for the first, which may finish', async () => {
    const { receiver, deliver, clock, runs } = endpoint({ handle: () => clock.sleep(3_000) })
    const first = deliver()
    const repeat = deliver()
    await clock.advance(100)
    const closing = receiver.close()
    expect(seen(await repeat)).toBe(refused)
    await clock.advance(3_000)
    expect(seen(await first)).toBe('200 handled')
    expect(await closing).toEqual({ drained: true, running: 0 })
    expect(runs).toHaveLength(1)
  })

  it('waits for a delivery that is being committed to the inbox', async () => {
    const committed = gate<'accepted'>()
    const inbox = handInbox({ put: () => committed.opened })
    const { receiver, deliver } = endpoint({ inbox, store: memoryStore() })
    const reply = deliver()
    const closing = receiver.close()
    committed.open('accepted')
    expect(seen(await reply)).toBe('200 accepted')
    expect(await closing).toEqual({ drained: true, running: 0 })
  })

  it('asks for another connection in its answers over HTTP/1, where there is such a header', async () => {
    const { receiver, deliver } = endpoint()
    expect((await deliver()).headers['connection']).toBeUndefined()
    await receiver.close()
    for (const [httpVersionMajor, connection] of [
      [undefined, 'close'],
      [1, 'close'],
      [2, undefined],
      [3, undefined],
    ] as const) {
      const { headers } = await deliver(event(), { httpVersionMajor })
      expect(headers['connection']).toBe(connection)
    }
  })
})

describe('close({ acceptForMs })', () => {
  it('goes on accepting for that long, then refuses, and counts drainMs from then', async () => {
    const lengths = new Map([
      ['evt_3', 1_500],
      ['evt_long', 60_000],
    ])
    const { receiver, deliver, clock, runs } = endpoint({
      handle: ({ id }) => {
        const ms = lengths.get(id)
        return ms === undefined ? undefined : clock.sleep(ms)
      },
    })
    const closing = receiver.close({ acceptForMs: 5_000, drainMs: 2_000 })
    await clock.advance(4_000)
    expect(seen(await deliver(event({ id: 'evt_2' })))).toBe('200 handled')
    const half = deliver(event(), { body: halfUpload() })
    const running = deliver(event({ id: 'evt_3' }))
    void deliver(event({ id: 'evt_long' }))
    await clock.advance(999)
    expect(seen(await deliver(event({ id: 'evt_2' })))).toBe('200 duplicate')
    await clock.advance(1)
    expect(seen(await half)).toBe(refused)
    expect(seen(await deliver(event({ id: 'evt_4' })))).toBe(refused)
    await clock.advance(500)
    expect(seen(await running)).toBe('200 handled')
    await clock.advance(1_499)
    const { signal } = runs.at(-1)?.context ?? {}
    expect(signal?.aborted).toBe(false)
    await clock.advance(1)
    expect(signal?.reason).toMatchObject({ code: 'RINGHOOK_SHUTTING_DOWN' })
    expect(await closing).toEqual({ drained: false, running: 1 })
  })

  it('accepts to the end although nothing runs, for what is still to come', async () => {
    const { receiver, clock } = endpoint()
    let isClosed = false
    void receiver.close({ acceptForMs: 5_000 }).then(() => {
      isClosed = true
    })
    await clock.advance(4_999)
    expect(isClosed).toBe(false)
    await clock.advance(1)
    expect(isClosed).toBe(true)
  })

  it('stops the worker at once, and goes on putting deliveries into the inbox', async () => {
    const inbox = handInbox()
    const { receiver, deliver, clock } = endpoint({ inbox, store: memoryStore() })
    await receiver.start()
    const closing = receiver.close({ acceptForMs: 5_000, drainMs: 2_000 })
    await clock.advance(1)
    expect(inbox.calls).toEqual(['start', 'stop 7000'])
    expect(seen(await deliver())).toBe('200 accepted')
    await expect(receiver.start()).rejects.toMatchObject({ code: 'RINGHOOK_SHUTTING_DOWN' })
    await clock.advance(5_000)
    expect(seen(await deliver(event({ id: 'evt_2' })))).toBe(refused)
    expect(await closing).toEqual({ drained: true, running: 0 })
  })

  it('is cut short by a second call, which waits for the same end', async () => {
    const { receiver, deliver, clock } = endpoint({ handle: () => clock.sleep(60_000) })
    void deliver()
    const closing = receiver.close({ acceptForMs: 30_000, drainMs: 30_000 })
    await clock.advance(1)
    // Without a time of its own it changes nothing, and a longer one does neither.
    const [again, longer] = [receiver.close(), receiver.close({ acceptForMs: 90_000 })]
    await clock.advance(1_000)
    expect(seen(await deliver(event({ id: 'evt_2' }), { method: 'GET' }))).toMatch(/^405 /)
    const now = receiver.close({ acceptForMs: 0, drainMs: 0 })
    await clock.advance(0)
    const report = { drained: false, running: 1 }
    expect(await Promise.all([closing, again, longer, now])).toEqual([
      report,
      report,
      report,
      report,
    ])
  })

  it('lets a second call shorten only the time for the handlers', async () => {
    const { receiver, deliver, clock, runs } = endpoint({ handle: () => clock.sleep(60_000) })
    void deliver()
    const closing = receiver.close({ acceptForMs: 5_000, drainMs: 30_000 })
    void receiver.close({ drainMs: 1_000 })
    await clock.advance(5_999)
    expect(runs[0]?.context.signal.aborted).toBe(false)
    await clock.advance(1)
    expect(await closing).toEqual({ drained: false, running: 1 })
  })

  it('refuses times that are none, and has begun nothing', async () => {
    const { receiver, deliver } = endpoint()
    for (const wrong of [Number.NaN, -1, 'soon', null]) {
      for (const name of ['acceptForMs', 'drainMs']) {
        await expect(receiver.close({ [name]: wrong } as never)).rejects.toMatchObject({
          code: 'RINGHOOK_OPTION_INVALID',
          message: expect.stringContaining(`${name} must be a non-negative number`),
        })
      }
    }
    expect(seen(await deliver())).toBe('200 handled')
  })
})

/** A stream of which no more comes. */
function halfUpload() {
  const stream = Object.assign(new EventEmitter(), {
    readable: true,
    destroyed: false,
    resume: () => stream,
    destroy: () => {
      stream.destroyed = true
      stream.emit('close')
    },
  })
  return stream
}

function bound() {
  const store = memoryStore()
  return {
    claim: store.claim.bind(store),
    extend: store.extend.bind(store),
    complete: store.complete.bind(store),
    release: store.release.bind(store),
    forget: store.forget.bind(store),
    status: store.status.bind(store),
  }
}
