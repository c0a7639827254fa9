import { describe, expect, expectTypeOf, it } from 'vitest'
import { krosai } from '../../src/providers/krosai/krosai.ts'
import type { EventSchema } from '../../src/providers/provider.ts'
import { documentedBodies, testDocumentedEvents } from './documented.ts'

type DataOf<Name extends keyof typeof krosai.events> =
  (typeof krosai.events)[Name]['schema'] extends EventSchema<infer Data> ? Data : never

describe('krosai', () => {
  testDocumentedEvents(krosai, [
    { names: ['call.initiated'], optional: [] },
    { names: ['call.ringing'], optional: [] },
    { names: ['call.started'], optional: [] },
    { names: ['call.answered'], optional: [] },
    {
      names: ['call.completed', 'call.ended'],
      optional: ['hangup_cause', 'recording_url', 'transcript', 'metadata', 'status'],
    },
    { names: ['call.failed'], optional: [] },
    { names: ['phone_number.purchased'], optional: [] },
    { names: ['phone_number.released', 'number.released'], optional: [] },
    { names: ['phone_number.updated'], optional: [] },
    { names: ['number.provisioned'], optional: [] },
    { names: ['endpoint.created'], optional: [] },
    { names: ['endpoint.updated'], optional: [] },
    { names: ['endpoint.deleted'], optional: [] },
    {
      names: ['recording.ready', 'call.recording.ready', 'call.recording.completed'],
      optional: [],
    },
    { names: ['transcript.ready', 'transcription.completed'], optional: [] },
    { names: ['port_request.submitted'], optional: [] },
    { names: ['port_request.completed'], optional: [] },
    { names: ['port_request.failed'], optional: [] },
    { names: ['balance.low'], optional: [] },
    { names: ['payment.received'], optional: [] },
  ])

  it('has 25 names for 20 events, and 19 documented bodies', () => {
    expect(krosai.canonicalNames.size).toBe(25)
    expect(Object.keys(krosai.events)).toHaveLength(20)
    expect(documentedBodies('krosai')).toHaveLength(19)
  })

  it.each(['call.started', 'number.provisioned'] as const)(
    '%s is documented by name only: any object is its data, and nothing else is',
    (name) => {
      const { schema } = krosai.events[name]
      for (const data of [{}, { call_id: 1, nested: { list: [null] } }]) {
        expect(schema.safeParse(data)).toEqual({ success: true, data })
      }
      for (const data of [undefined, null, [], 'text', 1, true]) {
        expect(schema.safeParse(data).success).toBe(false)
      }
      const result = schema.safeParse(JSON.parse('{"__proto__":{"stolen":true},"call_id":"c"}'))
      expect(result).toEqual({ success: true, data: { call_id: 'c' } })
      expect(result).not.toHaveProperty('data.stolen')
      expect(krosai.events[name]).not.toHaveProperty('samples')
    },
  )

  it('takes a value that no page lists where it documents a kind or a cause', () => {
    const { schema, samples } = krosai.events['call.completed']
    const data = { ...(samples['call.ended']?.['data'] as object), direction: 'x', status: 'y' }
    expect(schema.safeParse(data)).toEqual({ success: true, data })
  })

  it('accepts a change with a missing side, and refuses one that is not an object', () => {
    const { schema } = krosai.events['phone_number.updated']
    const changed = (value: unknown) => ({ phone_number_id: 'pn_1', changes: { label: value } })
    expect(schema.safeParse(changed({ new: 'Support' })).success).toBe(true)
    for (const value of ['Support', null, ['old', 'new']]) {
      expect(schema.safeParse(changed(value)).success).toBe(false)
    }
  })

  it('signs in hex after sha256=, with a timestamp under the signature', () => {
    expect(krosai.name).toBe('krosai')
    expect(krosai.signature).toEqual({
      header: 'x-webhook-signature',
      encoding: 'hex',
      prefix: 'sha256=',
    })
    expect(krosai.signedTimestamp).toBe(true)
  })

  it('tries at once and after 1, 5, 30 and 120 minutes; its patience is not documented', () => {
    const minute = 60_000
    expect(krosai.delivery).toEqual({
      retryDelaysMs: [0, minute, 5 * minute, 30 * minute, 120 * minute],
    })
  })

  it('is remembered for 30 days, because old deliveries can be retried by hand', () => {
    expect(krosai.defaults).toEqual({ retentionMs: 2_592_000_000 })
  })

  it('takes the id, the name, the timestamp and the data from the top of the body', () => {
    for (const body of documentedBodies('krosai')) {
      expect(krosai.read(body, {})).toEqual({
        event: body.event,
        id: body['id'],
        timestamp: body['timestamp'],
        data: body.data,
        callId: (body.data as { readonly call_id?: string }).call_id,
      })
    }
  })

  it('types the data of an event, so that a misspelt field does not compile', () => {
    expectTypeOf<DataOf<'call.completed'>>().toEqualTypeOf<{
      call_id: string
      direction: string
      from_number: string
      to_number: string
      duration: number
      cost_cents: number
      hangup_cause?: string | null | undefined
      recording_url?: string | null | undefined
      transcript?: string | null | undefined
      metadata?: Readonly<Record<string, unknown>> | null | undefined
      status?: string | null | undefined
    }>()
    expectTypeOf<keyof DataOf<'call.completed'>>().not.toEqualTypeOf<string>()
    expectTypeOf<DataOf<'call.started'>>().toEqualTypeOf<Readonly<Record<string, unknown>>>()
    expectTypeOf<DataOf<'number.provisioned'>>().toEqualTypeOf<Readonly<Record<string, unknown>>>()
    expectTypeOf(krosai.name).toEqualTypeOf<'krosai'>()
    expectTypeOf(krosai.events['recording.ready'].aliases).toEqualTypeOf<
      readonly ['call.recording.ready', 'call.recording.completed']
    >()
  })
})
