import { describe, expect, expectTypeOf, it } from 'vitest'
import { callkaro } from '../../src/providers/callkaro/callkaro.ts'
import { documentedBodies, testDocumentedEvents } from './documented.ts'

const required = [
  'callSid',
  'name',
  'agent',
  'versionId',
  'from',
  'to',
  'call_duration',
  'time',
  'hangup_reason',
  'try_count',
]

describe('callkaro', () => {
  const [documented] = documentedBodies('callkaro')
  if (documented === undefined) throw new Error('the documented body is missing')

  testDocumentedEvents(callkaro, [
    {
      names: ['call_ended'],
      optional: Object.keys(documented.data).filter((field) => !required.includes(field)),
    },
  ])

  it('has 21 documented fields, and refuses an event for the lack of 10 of them only', () => {
    expect(Object.keys(documented.data)).toHaveLength(21)
    expect(Object.keys(documented.data).filter((field) => required.includes(field))).toHaveLength(
      required.length,
    )
  })

  it('takes a tool that ran without a name, a result or a time, but not with other types', () => {
    const { schema } = callkaro.events.call_ended
    const data = { ...documented.data, functions_called: [{}, { name: null }] }
    expect(schema.safeParse(data)).toEqual({ success: true, data })
    for (const tool of ['update_crm', { name: 1 }, { success: 'yes' }, { timestamp: 1 }]) {
      expect(schema.safeParse({ ...data, functions_called: [tool] }).success).toBe(false)
    }
  })

  it('signs nothing, not even a timestamp', () => {
    expect(callkaro.name).toBe('callkaro')
    expect(callkaro.signature).toBe(false)
    expect(callkaro.signedTimestamp).toBe(false)
  })

  it('sends to two hooks, waits five seconds, and documents no retry', () => {
    expect(callkaro.delivery).toEqual({ retryDelaysMs: [0], timeoutMs: 5_000, copies: 2 })
  })

  it("is answered within five seconds, even if an event can't be read", () => {
    expect(callkaro.defaults).toEqual({ ackDeadlineMs: 4_500, invalidEvents: 'acknowledge' })
  })

  it('knows a call by its callSid, and has no timestamp', () => {
    expect(callkaro.read(documented, {})).toEqual({
      event: 'call_ended',
      id: 'call_ended:2303fa770b666a64ab1694c1e',
      data: documented.data,
      callId: '2303fa770b666a64ab1694c1e',
    })
    expect(callkaro.read({ ...documented, id: 'x', timestamp: 'y' }, {})).toEqual(
      callkaro.read(documented, {}),
    )
  })

  it.each([
    ['no data', { event: 'call_ended' }],
    ['data that is null', { event: 'call_ended', data: null }],
    ['data that is a list', { event: 'call_ended', data: [] }],
    ['no callSid', { event: 'call_ended', data: {} }],
    ['a callSid that is not a whole number', { event: 'call_ended', data: { callSid: 7.5 } }],
    ['a callSid that JSON.parse has rounded', { event: 'call_ended', data: { callSid: 2 ** 53 } }],
    ['an empty callSid', { event: 'call_ended', data: { callSid: '' } }],
    ['no name', { data: { callSid: 'c' } }],
  ])('a body with %s has no id', (_, body) => {
    expect(callkaro.read(body, {}).id).toBeUndefined()
  })

  it('makes another call of a body by its callSid', () => {
    const unique = { id: 'new', timestamp: new Date(0) }
    const before = structuredClone(documented)
    expect(callkaro.renew(documented, unique)).toEqual({
      ...documented,
      data: { ...documented.data, callSid: 'new' },
    })
    expect(documented).toEqual(before)
    expect(callkaro.renew({ event: 'x' }, unique)).toEqual({ event: 'x' })
  })

  it('types the data of an event, without fields that are not documented', () => {
    const result = callkaro.events.call_ended.schema.safeParse(documented.data)
    if (!result.success) throw new Error('the documented body is refused')
    expectTypeOf<keyof typeof result.data>().toEqualTypeOf<keyof typeof known>()
    expectTypeOf(result.data.call_duration).toEqualTypeOf<number>()
    expectTypeOf(result.data.batchId).toEqualTypeOf<string | null | undefined>()
    expect(Object.keys(result.data).sort()).toEqual(Object.keys(known).sort())
  })
})

const known = {
  callSid: true,
  name: true,
  agent: true,
  versionId: true,
  from: true,
  to: true,
  recordingUrl: true,
  call_duration: true,
  time: true,
  transcription: true,
  batchId: true,
  hangup_reason: true,
  call_metadata: true,
  try_count: true,
  post_call: true,
  post_call_detail: true,
  functions_called: true,
  disposition_reason: true,
  conversion_status: true,
  next_call_scheduled: true,
  call_link: true,
}
