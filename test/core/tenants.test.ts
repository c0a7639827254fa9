import { createReceiver, krosai, memoryStore, type SecretFunction } from 'ringhook'
import { deliver, simulateProvider } from 'ringhook/testing'
import { describe, expect, it } from 'vitest'
import { codeOf, endpoint, event, seen, sign } from '../helpers/endpoint.ts'

const ours = 'the secret of acme, and of no other'
const theirs = 'the secret of globex, and of no other'
const both: SecretFunction = () => [
  { secret: ours, tenant: 'acme' },
  { secret: [`${theirs}, the old one`, theirs], tenant: 'globex' },
  'a secret of no tenant at all',
]
const unavailable = '503 unavailable RINGHOOK_SECRET_UNAVAILABLE retry-after 30'
const refused = '401 rejected RINGHOOK_NOT_AUTHENTIC'

const by = (key: string, body: unknown = event()) => {
  const bytes = Buffer.from(JSON.stringify(body))
  return [bytes, { headers: { 'x-webhook-signature': sign(bytes, key) } }] as const
}

describe('secret, with tenants', () => {
  it('keeps the same event id of two tenants apart, and from that of none', async () => {
    const { deliver: send, runs, outcomes } = endpoint({ secret: both })
    const answers: string[] = []
    for (const key of [ours, theirs, 'a secret of no tenant at all', ours, theirs]) {
      answers.push(seen(await send(...by(key))))
    }
    expect(answers).toEqual([
      ...['200 handled', '200 handled', '200 handled'],
      ...['200 duplicate', '200 duplicate'],
    ])
    expect(runs.map(({ context }) => context.tenant)).toEqual(['acme', 'globex', undefined])
    expect(new Set(runs.map(({ context }) => context.idempotencyKey)).size).toBe(3)
    expect(outcomes.map(({ tenant }) => tenant)).toEqual([
      ...['acme', 'globex', undefined, 'acme', 'globex'],
    ])
    expect(outcomes[2]).not.toHaveProperty('tenant')
  })

  it('keeps the same bytes of two tenants apart where the bytes are the id', async () => {
    const { deliver: send, runs } = endpoint({ secret: both })
    const { id: _, ...body } = event()
    for (const key of [ours, theirs, ours]) await send(...by(key, body))
    expect(runs.map(({ context }) => context.tenant)).toEqual(['acme', 'globex'])
  })

  it('keeps them apart where ids are the user’s own', async () => {
    const { deliver: send, runs } = endpoint({ secret: both, eventId: () => 'own' })
    for (const key of [ours, theirs, theirs]) await send(...by(key))
    expect(runs).toHaveLength(2)
  })

  it('lets one tenant’s event run beside the other’s', async () => {
    const running = new Set<string | undefined>()
    let most = 0
    const { deliver: send } = endpoint({
      secret: both,
      handle: async (_event, { tenant }) => {
        running.add(tenant)
        most = Math.max(most, running.size)
        await new Promise((resolve) => setImmediate(resolve))
        running.delete(tenant)
      },
    })
    await Promise.all([ours, theirs].map((key) => send(...by(key))))
    expect(most).toBe(2)
  })

  it('verifies with any secret of a tenant, and names no tenant for what is not authentic', async () => {
    const { deliver: send, outcomes } = endpoint({ secret: both })
    expect(seen(await send(...by(`${theirs}, the old one`)))).toBe('200 handled')
    expect(outcomes[0]?.tenant).toBe('globex')
    expect(seen(await send(...by('a secret of somebody else')))).toBe(refused)
    expect(outcomes[1]?.tenant).toBeUndefined()
  })

  it.each([
    ['no secret for the tenant', { secret: undefined, tenant: 'acme' }],
    ['null', { secret: null, tenant: 'acme' }],
    ['an empty list', { secret: [], tenant: 'acme' }],
    ['no secret for a name that the URL made up', { secret: undefined, tenant: '\n' }],
    ['a list without any', [{ secret: undefined, tenant: 'acme' }]],
  ])('answers 401 where there is %s', async (_, answer) => {
    const { deliver: send } = endpoint({ secret: () => answer })
    expect(seen(await send(...by(ours)))).toBe(refused)
  })

  it.each([
    ['no tenant', { secret: ours }],
    ['an empty tenant', { secret: ours, tenant: '' }],
    ['a tenant that is a number', { secret: ours, tenant: 5 }],
    ['a tenant of 129 characters', { secret: ours, tenant: 'a'.repeat(129) }],
    ['a line end in the tenant', { secret: ours, tenant: 'a\nb' }],
    ['a zero byte in the tenant', { secret: ours, tenant: 'a\0b' }],
    ['half a surrogate pair', { secret: ours, tenant: 'a\ud800' }],
    ['white space around the tenant', { secret: ours, tenant: 'acme ' }],
    ['no secret at all', { tenant: 'acme' }],
    ['a list in a list', [[ours]]],
  ])('answers 503 and says why where there is %s', async (_, answer) => {
    const {
      deliver: send,
      runs,
      lines,
    } = endpoint({ secret: (() => answer) as unknown as SecretFunction })
    expect(seen(await send(...by(ours)))).toBe(unavailable)
    expect(runs).toEqual([])
    expect(lines.join()).toContain('{ secret, tenant }')
    expect(lines.join()).not.toContain(ours)
  })

  it.each([
    [
      'tenants',
      [
        { secret: ours, tenant: 'acme' },
        { secret: ours, tenant: 'globex' },
      ],
    ],
    ['a tenant and none', [ours, { secret: ours, tenant: 'globex' }]],
  ])('refuses what two %s could have sent, and takes what only one could', async (_, shared) => {
    const answer = [...shared, { secret: theirs, tenant: 'initech' }]
    const { deliver: send, runs, lines } = endpoint({ secret: () => answer })
    expect(seen(await send(...by(ours)))).toBe(unavailable)
    expect(lines.join()).toContain('one secret for two tenants')
    expect(seen(await send(...by(theirs)))).toBe('200 handled')
    expect(runs.map(({ context }) => context.tenant)).toEqual(['initech'])
  })

  it('takes the same secret twice for the same tenant', async () => {
    const entry = { secret: [ours, ours], tenant: 'acme' }
    const { deliver: send, runs } = endpoint({ secret: () => [entry, entry] })
    expect(seen(await send(...by(ours)))).toBe('200 handled')
    expect(runs[0]?.context.tenant).toBe('acme')
  })

  it('takes 128 characters of any script', async () => {
    const tenant = 'Ä'.repeat(128)
    const { deliver: send, runs } = endpoint({ secret: () => ({ secret: ours, tenant }) })
    expect(seen(await send(...by(ours)))).toBe('200 handled')
    expect(runs[0]?.context.tenant).toBe(tenant)
  })

  it('names the tenant in log lines', async () => {
    const fail = () => Promise.reject(new Error('no'))
    const { deliver: send, lines } = endpoint({ secret: both, handle: fail })
    await send(...by(theirs))
    expect(lines.join()).toContain('call.ringing evt_1 of tenant globex')
  })
})

describe('receiver.status() and receiver.forget()', () => {
  it('are about the event of one tenant', async () => {
    const { deliver: send, receiver, runs } = endpoint({ secret: both })
    for (const key of [ours, theirs]) await send(...by(key))
    expect(await receiver.status('evt_1', { tenant: 'acme' })).toBe('completed')
    expect(await receiver.status('evt_1')).toBe('unknown')
    expect(await receiver.forget('evt_1', { tenant: 'acme' })).toBe('forgotten')
    expect(await receiver.status('evt_1', { tenant: 'globex' })).toBe('completed')
    for (const key of [ours, theirs]) await send(...by(key))
    expect(runs.map(({ context }) => context.tenant)).toEqual(['acme', 'globex', 'acme'])
  })

  it('refuse a tenant that cannot be one, and options that do not exist', async () => {
    const { receiver } = endpoint({ secret: both })
    const invalid = expect.objectContaining({ code: 'RINGHOOK_OPTION_INVALID' })
    for (const options of [{ tenant: '' }, { tenant: 5 }, { tennant: 'acme' }, null, 'acme']) {
      await expect(receiver.forget('evt_1', options as object)).rejects.toEqual(invalid)
      await expect(receiver.status('evt_1', options as object)).rejects.toEqual(invalid)
    }
  })
})

describe('deliver() and simulateProvider(), with tenants', () => {
  const open = (secret: SecretFunction) =>
    createReceiver(krosai, { secret, logger: false, store: memoryStore(), on: { '*': () => {} } })

  it('signs as the tenant that it is told, or that the URL and the headers name', async () => {
    const receiver = open(both)
    const { details } = await deliver(receiver, 'call.ringing', { tenant: 'globex' })
    expect(details).toMatchObject({ outcome: 'handled', tenant: 'globex' })
    expect((await deliver(receiver, 'call.ringing')).details.tenant).toBe('acme')

    const byHeader = open(({ url, headers }) => ({
      secret: headers['x-tenant'] === 'acme' ? ours : theirs,
      tenant: `${headers['x-tenant']}${url}`,
    }))
    const sent = await deliver(byHeader, 'call.ringing', {
      url: '/7',
      headers: { 'X-Tenant': 'acme' },
    })
    expect(sent.details).toMatchObject({ outcome: 'handled', tenant: 'acme/7' })
  })

  it('refuses a tenant that the receiver does not know', async () => {
    const delivering = deliver(open(both), 'call.ringing', { tenant: 'initech' })
    await expect(delivering).rejects.toMatchObject({ code: 'RINGHOOK_OPTION_INVALID' })
  })

  it('simulates the provider of a receiver with tenants', async () => {
    const simulation = simulateProvider(krosai, { target: open(both) })
    simulation.send('call.ringing')
    expect((await simulation.run()).undelivered).toEqual([])
  })
})

it('a secret outside of a function names no tenant', () => {
  const secret = { secret: ours, tenant: 'acme' } as unknown as string
  const build = () => createReceiver(krosai, { secret, on: {} })
  expect(codeOf(build)).toBe('RINGHOOK_SECRET_INVALID')
})
