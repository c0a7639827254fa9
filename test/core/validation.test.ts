import type { EventSchema } from 'ringhook'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { endpoint, event, seen } from '../helpers/endpoint.ts'

const phone = '+14155550199'

describe('outcome.issues', () => {
  it('say where and which kind, and never what was sent, not even as a key', async () => {
    const schema = z.strictObject({
      numbers: z.record(z.string(), z.object({ list: z.array(z.object({ kind: z.enum(['a']) })) })),
    })
    const { deliver, outcomes, lines } = endpoint({ events: { 'call.ringing': schema } })
    const data = {
      numbers: { [phone]: { list: [{ kind: 'a' }, { kind: phone }] } },
      [phone]: phone,
    }
    expect(seen(await deliver(event({ data })))).toBe('422 invalid RINGHOOK_EVENT_INVALID')
    expect(outcomes[0]?.issues).toEqual([
      { path: 'data.numbers.?.list.1.kind', code: 'invalid_value' },
      { path: 'data', code: 'unrecognized_keys' },
    ])
    expect(lines).toHaveLength(1)
    expect(lines.join() + JSON.stringify(outcomes)).not.toContain('4155550199')
  })

  const key = `m._${phone.slice(1)}`
  it.each<[string, EventSchema, unknown, string]>([
    ['a record', z.record(z.string(), z.string()), { [key]: 1 }, 'data.?'],
    [
      'a record of names',
      z.object({ m: z.record(z.string(), z.string()) }),
      { m: { ada: 1 } },
      'data.m.?',
    ],
    [
      'a record with an identifier',
      z.object({ m: z.record(z.string(), z.number()) }),
      { m: { _14155550199: '' } },
      'data.m.?',
    ],
    ['a catch-all', z.object({ a: z.string() }).catchall(z.string()), { a: '', ada: 1 }, 'data.?'],
    [
      'a map of a partial record',
      z.partialRecord(z.enum(['one']), z.string()),
      { one: 1 },
      'data.one',
    ],
    ['a lazy schema', z.lazy(() => z.object({ child: z.string() })), {}, 'data.child'],
    [
      'a pipe',
      z.unknown().pipe(z.object({ deeper: z.array(z.string()).nullish().default([]) })),
      { deeper: [5] },
      'data.deeper.0',
    ],
    [
      'a union',
      z.discriminatedUnion('kind', [z.object({ kind: z.literal('a'), name: z.string() })]),
      { kind: 'a' },
      'data.name',
    ],
    [
      'an intersection',
      z.intersection(z.object({ left: z.string() }), z.object({ right: z.string() })),
      { left: '' },
      'data.right',
    ],
    [
      'a refinement with a path of its own',
      z
        .looseObject({})
        .superRefine((_, { addIssue }) =>
          addIssue({ code: 'custom', path: [phone, 14155550199, 'ada'] }),
        ),
      {},
      'data.?.?.?',
    ],
    [
      'a depth without end',
      z
        .looseObject({})
        .superRefine((_, { addIssue }) =>
          addIssue({ code: 'custom', path: new Array(10_000).fill(1) }),
        ),
      {},
      `data${'.1'.repeat(20)}.…`,
    ],
    [
      'another library',
      {
        safeParse: () => ({
          success: false,
          error: { issues: [{ path: ['ada', 3], code: phone }] },
        }),
      },
      {},
      'data.?.3',
    ],
  ])('show of a path only what stands in the schema: %s', async (_, schema, data, path) => {
    const { deliver, outcomes, lines } = endpoint({ events: { 'call.ringing': schema } })
    await deliver(event({ data }))
    expect(outcomes[0]?.issues).toEqual([{ path, code: expect.stringMatching(/^[a-z_]+$/) }])
    expect(lines.join() + JSON.stringify(outcomes)).not.toMatch(/4155550199|ada/)
  })

  it('are ten at most, and five of them in the log', async () => {
    const fields = Array.from({ length: 20 }, (_, at) => [`f${at}`, z.string()] as const)
    const { deliver, outcomes, lines } = endpoint({
      events: { 'call.ringing': z.object(Object.fromEntries(fields)) },
    })
    await deliver(event({ data: {} }))
    expect(outcomes[0]?.issues).toHaveLength(10)
    expect(lines.join().match(/invalid_type/g)).toHaveLength(5)
  })

  it('are one where the data is missing', async () => {
    for (const data of [undefined, null, 5, 'text', []]) {
      const { deliver, outcomes } = endpoint()
      expect(seen(await deliver(event({ data })))).toBe('422 invalid RINGHOOK_EVENT_INVALID')
      expect(outcomes[0]?.issues).toEqual([{ path: 'data', code: 'invalid_type' }])
    }
  })
})
