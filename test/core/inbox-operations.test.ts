import { memoryStore, RinghookError } from 'ringhook'
import { describe, expect, it } from 'vitest'
import { endpoint, event } from '../helpers/endpoint.ts'
import { handInbox, started } from '../helpers/hand-inbox.ts'

const store = memoryStore()

describe('receiver.start()', () => {
  it('starts the worker of the inbox once, however often it is called', async () => {
    const inbox = handInbox()
    const { receiver } = endpoint({ inbox, store })
    await Promise.all([receiver.start({ concurrency: 3 }), receiver.start({ concurrency: 3 })])

    expect(inbox.calls).toEqual(['start'])
    expect(inbox.worker?.concurrency).toBe(3)
  })

  it.each([0, 1.5, 1_001, '3', Number.NaN])('refuses concurrency %j', async (concurrency) => {
    const { receiver } = endpoint({ inbox: handInbox(), store })
    await expect(receiver.start({ concurrency: concurrency as number })).rejects.toMatchObject({
      code: 'RINGHOOK_OPTION_INVALID',
    })
  })

  it('refuses options that do not exist, as close does', async () => {
    const { receiver } = await started()
    for (const wrong of [{ concurency: 5 }, null, 'x'] as object[]) {
      await expect(receiver.start(wrong)).rejects.toMatchObject({ code: 'RINGHOOK_OPTION_INVALID' })
      await expect(receiver.close(wrong)).rejects.toMatchObject({ code: 'RINGHOOK_OPTION_INVALID' })
      await expect(receiver.inbox.list(wrong)).rejects.toMatchObject({
        code: 'RINGHOOK_OPTION_INVALID',
      })
    }
  })

  it('refuses another concurrency for a worker that runs', async () => {
    const { receiver } = await started()
    await expect(receiver.start({ concurrency: 11 })).rejects.toThrow('with concurrency 10')
  })

  it('is refused without an inbox, as receiver.inbox is, and after close', async () => {
    const { receiver } = endpoint()
    await expect(receiver.start()).rejects.toMatchObject({ code: 'RINGHOOK_INBOX_MISSING' })
    expect(() => receiver.inbox).toThrow('RINGHOOK_INBOX_MISSING')

    const other = await started()
    await other.receiver.close()
    await expect(other.receiver.start()).rejects.toMatchObject({ code: 'RINGHOOK_SHUTTING_DOWN' })
  })

  it('can be called again after it has failed', async () => {
    let isAway = true
    const inbox = handInbox({
      start: async () => {
        if (isAway) throw new RinghookError('RINGHOOK_STORE_UNREACHABLE', 'away')
      },
    })
    const { receiver } = endpoint({ inbox, store })
    await expect(receiver.start()).rejects.toMatchObject({ code: 'RINGHOOK_STORE_UNREACHABLE' })
    isAway = false
    await receiver.start()
  })

  it('is stopped only once it has begun, by a close that comes meanwhile', async () => {
    let begin = () => {}
    const inbox = handInbox({
      start: () =>
        new Promise((resolve) => {
          begin = resolve
        }),
    })
    const { receiver } = endpoint({ inbox, store: memoryStore() })
    const starting = receiver.start()
    const closing = receiver.close()
    await new Promise((resolve) => setImmediate(resolve))
    expect(inbox.calls).toEqual([])
    begin()
    await Promise.all([starting, closing])
    expect(inbox.calls).toEqual(['stop 10000'])
  })

  it.each([Number.POSITIVE_INFINITY, 1e10])(
    'is given no more time to stop than a timer holds: %j',
    async (drainMs) => {
      const { inbox, receiver } = await started()
      await receiver.close({ drainMs })
      expect(inbox.calls).toEqual(['start', 'stop 2147483647'])
    },
  )

  it('does not keep close waiting for ever when the inbox does not stop', async () => {
    const inbox = handInbox({ stop: () => new Promise(() => {}) })
    const { receiver, clock } = endpoint({ inbox, store: memoryStore() })
    await receiver.start()
    const closing = receiver.close()
    await clock.advance(20_000)
    expect(await closing).toEqual({ drained: true, running: 0 })
  })

  it('logs what fails in the worker itself, once a minute', async () => {
    const { inbox, lines } = await started()
    for (let i = 0; i < 3; i++) inbox.worker?.onError(new Error('secret'))

    expect(lines.filter((line) => line.includes('the worker of the inbox failed'))).toHaveLength(1)
    expect(lines.join()).not.toContain('secret')
  })
})

describe('inbox, without a worker', () => {
  it('is logged once a minute, when its deliveries have waited for a minute', async () => {
    const counts = { waiting: 3, running: 0, delayed: 0, dead: 1, oldest: 0 }
    let stats = 0
    const inbox = handInbox({
      stats: async () => {
        stats++
        return counts
      },
    })
    const { deliver, clock, lines, receiver } = endpoint({ inbox, store: memoryStore() })
    let id = 0
    const another = async (afterMs: number) => {
      await clock.advance(afterMs)
      await deliver(event({ id: `evt_${id++}` }))
      await clock.advance(0)
    }
    await another(0)
    await another(59_999)
    expect(stats).toBe(0)
    await another(1)
    await another(1)
    expect(stats).toBe(1)
    expect(lines).toEqual([
      expect.stringContaining('3 deliveries wait in the inbox, the oldest for'),
    ])

    Object.assign(counts, { running: 1 })
    await another(60_000)
    Object.assign(counts, { running: 0, oldest: clock.now() + 1 })
    await another(60_000)
    expect(stats).toBe(3)
    await receiver.start()
    await another(60_000)
    expect([stats, lines.length]).toEqual([3, 1])
  })
})

describe('receiver.inbox', () => {
  it('lists what there is, without the bytes, and gives one with them', async () => {
    const { inbox, deliver, receiver, clock } = await started()
    await deliver()
    const { delivery } = inbox.puts[0] ?? expect.unreachable()
    const failure = { code: 'X', reason: 'because', at: clock.now() }
    inbox.kept.push(
      { id: 'a', state: 'dead', attempts: 3, failure, delivery },
      { id: 'b', state: 'delayed', attempts: 1, dueAt: clock.now(), delivery: 'nonsense' },
    )

    const about = {
      provider: 'krosai',
      type: 'call.ringing',
      sentAs: 'call.ringing',
      eventId: 'evt_1',
    }
    const now = new Date(clock.now())
    const dead = {
      id: 'a',
      state: 'dead',
      attempts: 3,
      failure: { ...failure, at: now },
      ...about,
      receivedAt: now,
    }
    expect(await receiver.inbox.list()).toEqual([
      dead,
      { id: 'b', state: 'delayed', attempts: 1, dueAt: now },
    ])
    expect(await receiver.inbox.list({ state: 'dead' })).toHaveLength(1)
    expect(await receiver.inbox.list({ limit: 1 })).toHaveLength(1)
    const one = await receiver.inbox.get('a')
    expect(one).toMatchObject(dead)
    expect(Buffer.from(one?.rawBody ?? []).toString()).toBe(JSON.stringify(event()))
    expect(await receiver.inbox.get('b')).not.toHaveProperty('rawBody')
    expect(await receiver.inbox.get('c')).toBeUndefined()
  })

  it('replays one, or all that are dead, and discards', async () => {
    const { inbox, receiver } = await started()
    for (const id of ['a', 'b', 'c']) {
      inbox.kept.push({ id, state: id === 'c' ? 'waiting' : 'dead', attempts: 1, delivery: null })
    }
    expect(await receiver.inbox.replay('a')).toBe(1)
    expect(await receiver.inbox.replay('c')).toBe(0)
    expect(await receiver.inbox.replay({})).toBe(2)
    expect(await receiver.inbox.discard('b')).toBe(true)
    expect(await receiver.inbox.discard('z')).toBe(false)
    expect(inbox.calls.slice(1)).toEqual([
      'replay a',
      'replay c',
      'replay a',
      'replay b',
      'discard b',
      'discard z',
    ])
  })

  it('counts, with the age of the oldest', async () => {
    const { receiver } = await started()
    expect(await receiver.inbox.stats()).toEqual({
      waiting: 1,
      running: 2,
      delayed: 3,
      dead: 4,
      oldestAgeMs: 60_000,
    })
  })

  it.each([
    [{ state: 'completed' }],
    [{ states: 'dead' }],
    [{ type: 5 }],
    [{ since: 'yesterday' }],
    [{ since: new Date(Number.NaN) }],
    [{ limit: 0 }],
  ])('refuses the filter %j', async (filter) => {
    const { receiver } = await started()
    await expect(receiver.inbox.list(filter as object)).rejects.toMatchObject({
      code: 'RINGHOOK_OPTION_INVALID',
    })
    await expect(receiver.inbox.replay({ ...filter, state: 'dead' } as object)).rejects.toThrow(
      'RINGHOOK_OPTION_INVALID',
    )
  })

  it.each([[''], [5]])('refuses the id %j', async (id) => {
    const { receiver } = await started()
    for (const operation of ['get', 'discard'] as const) {
      await expect(receiver.inbox[operation](id as string)).rejects.toThrow(
        'RINGHOOK_OPTION_INVALID',
      )
    }
    await expect(receiver.inbox.replay(id as string)).rejects.toThrow('RINGHOOK_OPTION_INVALID')
  })
})
