import { krosai, type SecretFunction } from 'ringhook'
import { signedRequest } from 'ringhook/testing'
import { expect, it } from 'vitest'
import { gate } from '../helpers/endpoint.ts'
import { openEndpoint, until } from './receiver-endpoint.ts'
import type { Place } from './receiver-places.ts'

const secrets = new Map([
  ['acme', 'the secret of acme, and of no other'],
  ['globex', 'the secret of globex, and of no other'],
])

/** Names the tenant by a header, which anybody can write: only its secret proves it. */
const secretOf: SecretFunction = ({ headers }) => {
  const tenant = String(headers['x-tenant'])
  return { secret: secrets.get(tenant), tenant }
}

/** An event whose bytes are the same for every tenant. */
const sent = { id: 'evt_1', event: 'call.ringing', timestamp: '', data: { call_id: 'call_1' } }
const bytes = Buffer.from(JSON.stringify({ ...sent, timestamp: new Date().toISOString() }))

function from(tenant: string, signedBy = tenant) {
  const secret = secrets.get(signedBy) ?? ''
  return signedRequest(krosai, bytes, { secret, headers: { 'x-tenant': tenant } })
}

/** Two tenants may use one event id: each has its event kept and run once. */
export function separatesTenants(open: () => Promise<Place>): void {
  it('keeps and runs the same bytes of two tenants as two events', async () => {
    const { inbox, store } = await open()
    const { receiver, runs, outcomes, deliver } = await openEndpoint({
      inbox,
      store,
      secret: secretOf,
    })
    expect(await deliver(from('acme'))).toBe('200 accepted')
    expect(await deliver(from('globex'))).toBe('200 accepted')
    expect(await deliver(from('acme'))).toBe('200 duplicate')
    // With its own secret one tenant can't speak for another.
    expect(await deliver(from('acme', 'globex'))).toBe('401 rejected RINGHOOK_NOT_AUTHENTIC')
    expect(await deliver(from('initech', 'acme'))).toBe('401 rejected RINGHOOK_NOT_AUTHENTIC')
    expect(outcomes.map(({ tenant }) => tenant)).toEqual([
      'acme',
      'globex',
      'acme',
      undefined,
      undefined,
    ])

    const desk = receiver.inbox
    const listed = await desk.list()
    expect(listed.map(({ eventId, tenant }) => [eventId, tenant])).toEqual([
      ['evt_1', 'acme'],
      ['evt_1', 'globex'],
    ])
    expect(await desk.list({ tenant: 'globex' })).toEqual(listed.slice(1))

    await receiver.start()
    await until(async () => runs.length === 2 && (await desk.list()).length === 0)
    expect(runs.map(({ context }) => context.tenant).sort()).toEqual(['acme', 'globex'])
    expect(new Set(runs.map(({ context }) => context.idempotencyKey))).toEqual(
      new Set(listed.map(({ id }) => id)),
    )
    const attempts = outcomes.filter(({ next }) => next === 'completed')
    expect(attempts.map(({ tenant }) => tenant).sort()).toEqual(['acme', 'globex'])

    const acme = { tenant: 'acme' }
    expect(await receiver.status('evt_1', acme)).toBe('completed')
    expect(await receiver.statusOfBody(bytes, acme)).toBe('completed')
    expect(await receiver.status('evt_1')).toBe('unknown')
    expect(await receiver.forget('evt_1')).toBe('unknown')
    expect(await receiver.forget('evt_1', acme)).toBe('forgotten')
    for (const each of secrets.keys()) await deliver(from(each))
    await until(async () => runs.length === 3 && (await desk.list()).length === 0)
    expect(runs.at(-1)?.context.tenant).toBe('acme')
    expect(await receiver.status('evt_1', { tenant: 'globex' })).toBe('completed')
  })

  it('replays the dead letters of one tenant, and holds no call back for that of another', async () => {
    const { inbox, store } = await open()
    const { opened, open: finish } = gate()
    let isBroken = true
    const { receiver, runs, deliver } = await openEndpoint({
      inbox,
      store,
      secret: secretOf,
      retry: { maxAttempts: 1 },
      handle: async (_event, { tenant }) => {
        if (isBroken) throw new Error('not yet')
        if (tenant === 'acme') await opened
      },
    })
    const desk = receiver.inbox
    for (const tenant of secrets.keys()) await deliver(from(tenant))
    await receiver.start()
    await until(async () => (await desk.stats()).dead === 2)

    isBroken = false
    expect(await desk.replay({ tenant: 'acme', type: 'call.ringing' })).toBe(1)
    await until(() => runs.length === 3)
    expect((await desk.list({ state: 'dead' })).map(({ tenant }) => tenant)).toEqual(['globex'])
    expect(await desk.replay({ tenant: 'globex' })).toBe(1)
    // The other tenant's call has the same id, and still runs.
    await until(async () => (await desk.list()).length === 1)
    expect((await desk.list())[0]).toMatchObject({ tenant: 'acme', state: 'running' })
    finish()
    await until(async () => (await desk.list()).length === 0)
  })
}
