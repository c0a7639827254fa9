import { describe, expect, expectTypeOf, it } from 'vitest'
import { odis } from '../../src/providers/odis/odis.ts'
import { documentedBodies, testDocumentedEvents } from './documented.ts'

describe('odis', () => {
  testDocumentedEvents(odis, [
    { names: ['call.started'], optional: [] },
    { names: ['call.ended'], optional: ['transcript', 'summary', 'sentiment', 'actions'] },
    { names: ['appointment.created'], optional: [] },
  ])

  it('takes a call after which nothing was done, and an action without details', () => {
    const { schema, samples } = odis.events['call.ended']
    const data = samples['call.ended']?.['data'] as object
    for (const actions of [[], [{ type: 'x' }], [{ type: 'x', details: null }]]) {
      expect(schema.safeParse({ ...data, actions })).toEqual({
        success: true,
        data: { ...data, actions },
      })
    }
    for (const actions of [[{}], ['x'], [{ type: 'x', details: [] }]]) {
      expect(schema.safeParse({ ...data, actions }).success).toBe(false)
    }
  })

  it('signs in hex after sha256=, with a timestamp under the signature', () => {
    expect(odis.name).toBe('odis')
    expect(odis.signature).toEqual({
      header: 'x-odis-signature',
      encoding: 'hex',
      prefix: 'sha256=',
    })
    expect(odis.signedTimestamp).toBe(true)
  })

  it('tries five times from two addresses and then disables the endpoint', () => {
    const minute = 60_000
    expect(odis.delivery).toEqual({
      retryDelaysMs: [0, minute, 5 * minute, 30 * minute, 120 * minute],
      disabledAfterFailures: 5,
      addresses: ['52.123.45.67', '52.123.45.68'],
    })
  })

  it('acknowledges an event that it cannot read, so that the endpoint stays enabled', () => {
    expect(odis.defaults).toEqual({ invalidEvents: 'acknowledge' })
  })

  it('takes no id from the body, even if one is there: none is documented', () => {
    for (const body of documentedBodies('odis')) {
      expect(odis.read({ ...body, id: 'acct_1' }, {})).toEqual({
        event: body.event,
        timestamp: body['timestamp'],
        data: body.data,
        callId: (body.data as { readonly call_id?: string }).call_id,
      })
    }
  })

  it('makes another event of a body by what identifies it and by its timestamp', () => {
    const unique = { id: 'new', timestamp: new Date(0) }
    const timestamp = '1970-01-01T00:00:00.000Z'
    for (const body of documentedBodies('odis')) {
      const id = body.event === 'appointment.created' ? 'appointment_id' : 'call_id'
      const before = structuredClone(body)
      expect(odis.renew(body, unique)).toEqual({
        ...body,
        timestamp,
        data: { ...body.data, [id]: 'new' },
      })
      expect(body).toEqual(before)
    }
    expect(odis.renew({ event: 'x' }, unique)).toEqual({ event: 'x', timestamp })
  })

  it('types the data of an event, without fields that are not documented', () => {
    const result = odis.events['appointment.created'].schema.safeParse(undefined)
    if (result.success) {
      expectTypeOf(result.data).toEqualTypeOf<{
        appointment_id: string
        call_id: string
        client_name: string
        patient_name: string
        date: string
        time: string
        type: string
      }>()
    }
    expect(result.success).toBe(false)
  })
})
