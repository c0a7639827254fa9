import fc from 'fast-check'
import { callkaro, createReceiver, defineProvider, krosai } from 'ringhook'
import { deliver as send } from 'ringhook/testing'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { callIdText, idText } from '../../src/core/event/idempotency.ts'
import { build, endpoint, event, post, secret, seen, start } from '../helpers/endpoint.ts'

/** The same event, sent again with a new timestamp. */
const again = (id: unknown) => event({ id, timestamp: new Date(start + 1_000).toISOString() })

/** A body with an id as its sender wrote it: JSON.stringify has no large numbers. */
function written(id: string, timestamp = new Date(start).toISOString()): Buffer {
  const { id: _, ...rest } = event({ timestamp })
  return Buffer.from(JSON.stringify(rest).replace('{', `{"id":${id},`))
}

describe('event.id', () => {
  it.each([
    ['text', 'evt_1', 'evt_1'],
    ['digits', '17', '17'],
    ['a number', 17, '17'],
    ['0', 0, '0'],
    ['-0', -0, '0'],
    ['a negative number', -17, '-17'],
    ['the largest number that is safe', Number.MAX_SAFE_INTEGER, '9007199254740991'],
    ['a number in an exponent', 1e15, '1000000000000000'],
    ['text with blanks around it', ' a ', ' a '],
  ])('that is %s tells repeats, whatever else is in them', async (_, id, expected) => {
    const { deliver, runs, lines, receiver } = endpoint()
    expect(seen(await deliver(event({ id })))).toBe('200 handled')
    expect(seen(await deliver(again(id)))).toBe('200 duplicate')
    expect(runs.map((run) => run.event.id)).toEqual([expected])
    expect(await receiver.status(expected)).toBe('completed')
    expect(lines.filter((line) => line.includes('the id of'))).toEqual([])
  })

  it('is the same as a number and as text', async () => {
    const { deliver } = endpoint()
    await deliver(event({ id: 17 }))
    expect(seen(await deliver(again('17')))).toBe('200 duplicate')
    expect(seen(await deliver(again('017')))).toBe('200 handled')
  })

  it('that JSON writes with a point is the whole number that it is', async () => {
    const { deliver } = endpoint()
    expect(seen(await deliver(written('17')))).toBe('200 handled')
    expect(seen(await deliver(written('17.0', new Date(start + 1).toISOString())))).toBe(
      '200 duplicate',
    )
  })

  it.each([
    ['9007199254740993', 'rounded'],
    ['-9007199254740993', 'rounded'],
    ['12345678901234567890', 'rounded'],
    ['1e400', 'not whole'],
    ['1e30', 'rounded'],
    ['17.5', 'not whole'],
    ['true', 'of the type boolean'],
    ['{"a":"+14155551234"}', 'of the type object'],
    ['["+14155551234"]', 'an array'],
    ['""', 'a blank text'],
    ['" "', 'a blank text'],
  ])('that is %s is not used: the body’s is, and the log says so', async (id, words) => {
    const { deliver, runs, lines } = endpoint()
    const body = written(id)
    expect(seen(await deliver(body))).toBe('200 handled')
    expect(seen(await deliver(body))).toBe('200 duplicate')
    expect(seen(await deliver(written(id, new Date(start + 1).toISOString())))).toBe('200 handled')
    expect(runs.map((run) => run.event.id)).toEqual([
      expect.stringMatching(/^[\da-f]{64}$/),
      expect.stringMatching(/^[\da-f]{64}$/),
    ])
    expect(lines).toEqual([expect.stringContaining('the id of call.ringing is ')])
    expect(lines.join()).toContain(words)
    expect(lines.join()).not.toContain('5551234')
    expect(lines.join()).not.toContain('17.5')
  })

  it('does not let two numbers that JSON.parse rounds to one be one event', async () => {
    const { deliver } = endpoint()
    expect(seen(await deliver(written('9007199254740992')))).toBe('200 handled')
    expect(seen(await deliver(written('9007199254740993')))).toBe('200 handled')
  })

  it('that is missing or null is the body’s, and nothing is logged', async () => {
    const { deliver, lines } = endpoint()
    for (const id of [undefined, null]) {
      expect(seen(await deliver(event({ id })))).toBe('200 handled')
      expect(seen(await deliver(event({ id })))).toBe('200 duplicate')
    }
    expect(lines).toEqual([])
  })

  it('is logged neither for an event that is ignored nor with an eventId of the user’s', async () => {
    const own = endpoint({ eventId: ({ data }) => JSON.stringify(data) })
    expect(seen(await own.deliver(event({ id: 17.5 })))).toBe('200 handled')
    const ignoring = endpoint({ on: { 'call.failed': () => {} } })
    expect(seen(await ignoring.deliver(event({ id: 17.5 })))).toBe('200 ignored')
    expect([...own.lines, ...ignoring.lines]).toEqual([])
  })

  it('may be a number or a bigint that a read of the user’s returns', async () => {
    const ids: string[] = []
    const acme = defineProvider({
      name: 'acme',
      signature: { header: 'x-acme-signature', encoding: 'hex' },
      signedTimestamp: false,
      events: { ended: { schema: z.looseObject({}) } },
      read: ({ kind, number, large }) => ({
        event: kind,
        id: large === undefined ? number : BigInt(String(large)),
        data: {},
      }),
      delivery: { retryDelaysMs: [0] },
    })
    const receiver = createReceiver(acme, {
      secret,
      logger: false,
      on: { ended: ({ id }) => void ids.push(id) },
    })
    const outcomes: string[] = []
    for (const body of [
      { kind: 'ended', number: 17 },
      { kind: 'ended', number: 17, attempt: 2 },
      { kind: 'ended', large: '12345678901234567890' },
      { kind: 'ended', large: '12345678901234567890', attempt: 2 },
    ]) {
      outcomes.push((await send(receiver, body)).outcome)
    }
    expect(outcomes).toEqual(['handled', 'duplicate', 'handled', 'duplicate'])
    expect(ids).toEqual(['17', '12345678901234567890'])
  })

  it('of CallKaro is made of a callSid that is a number, too', () => {
    const idOf = (callSid: unknown) =>
      callkaro.read({ event: 'call_ended', data: { callSid } }, {}).id
    expect(idOf(17)).toBe('call_ended:17')
    expect(idOf('17')).toBe('call_ended:17')
    for (const odd of [17.5, 2 ** 53, true, '', null]) expect(idOf(odd)).toBeUndefined()
  })

  it('is text or nothing, whatever it was', () => {
    fc.assert(
      fc.property(fc.anything(), (id) => {
        for (const text of [idText(id), callIdText(id)]) {
          if (text !== undefined) expect(text).toMatch(/\S/)
        }
      }),
      { numRuns: 300, seed: 14 },
    )
  })
})

describe('defineProvider({ read })', () => {
  it('that is asynchronous is answered 500, and its rejection ends nothing', async () => {
    const read = () => Promise.reject(new Error('too late'))
    const provider = defineProvider({ ...krosai, name: 'late', read: read as never })
    const receiver = build(provider, { secret, on: { '*': () => {} }, logger: false })
    const reply = await receiver.receive(post(event()))
    expect(seen(reply)).toBe('500 failed RINGHOOK_INTERNAL_ERROR')
    expect(reply.outcome.error).toMatchObject({ code: 'RINGHOOK_OPTION_INVALID' })
  })
})

describe('orderingKey, by default', () => {
  it.each([
    ['call_1', 'call_1'],
    [17, '17'],
    [17.5, '17.5'],
    [2 ** 53, '9007199254740992'],
    ['', undefined],
    [' ', undefined],
    [Number.NaN, undefined],
    [Number.POSITIVE_INFINITY, undefined],
    [true, undefined],
    [{}, undefined],
    [null, undefined],
  ])('%s puts events in order by %s', (callId, expected) => {
    expect(callIdText(callId)).toBe(expected)
  })
})
