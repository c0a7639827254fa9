import { inspect } from 'node:util'
import { type HandlerContext, type IdempotencyStore, memoryStore } from 'ringhook'
import { describe, expect, it } from 'vitest'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { endpoint, event, post, start } from '../helpers/endpoint.ts'

const members = [
  'idempotencyKey',
  'tenant',
  'attempt',
  'fence',
  'signal',
  'deadline',
  'rawBody',
  'headers',
  'receivedAt',
  'complete',
] as const

/** A phone number that the body and a header hold, and nothing printed may. */
const phone = '+14155550199'
/** The same where bytes are printed as numbers. */
const bytesOfPhone = [...Buffer.from(phone)].join(',')

describe('HandlerContext', () => {
  it.each<[string, (context: HandlerContext) => object]>([
    ['a spread', (context) => ({ ...context, db: 'a database' })],
    ['Object.assign', (context) => Object.assign({ db: 'a database' }, context)],
    ['its entries', (context) => Object.fromEntries(Object.entries(context))],
    ['what destructuring leaves', ({ attempt, ...rest }) => ({ attempt, ...rest })],
  ])('keeps every member in a copy made by %s', async (_, copy) => {
    const { context, body } = await contextOf(copy)

    expect(context).toMatchObject({
      idempotencyKey: expect.stringMatching(/./),
      attempt: 1,
      fence: expect.any(Number),
      deadline: new Date(start + 10_000),
      receivedAt: new Date(start),
    })
    expect(Object.keys(context)).toEqual(expect.arrayContaining([...members]))
    expect(context.signal).toBeInstanceOf(AbortSignal)
    expect(Buffer.from(context.rawBody).toString()).toBe(body)
    expect(context.headers['x-caller']).toBe(phone)
  })

  it('aborts the signal of a copy, and of one that was made before the abort', async () => {
    const { receiver, deliver, clock } = endpoint({
      handle: async (_, context) => {
        copies.push({ ...context })
        await clock.sleep(60_000)
      },
    })
    const copies: HandlerContext[] = []
    const delivered = deliver()
    await clock.advance(0)
    const closed = receiver.close({ drainMs: 1_000 })
    await clock.advance(1_000)
    await closed

    expect(copies[0]?.signal.aborted).toBe(true)
    expect(copies[0]?.signal.reason).toMatchObject({ code: 'RINGHOOK_SHUTTING_DOWN' })
    await clock.advance(60_000)
    await delivered
  })

  it('completes the event through a copy', async () => {
    const transaction = { of: 'a database' }
    const told: unknown[] = []
    const memory = memoryStore({ clock: manualClock(start) })
    const store: IdempotencyStore = {
      claim: (...values) => memory.claim(...values),
      extend: (...values) => memory.extend(...values),
      release: (...values) => memory.release(...values),
      forget: (...values) => memory.forget(...values),
      status: (...values) => memory.status(...values),
      complete: (claim, { retentionMs, transaction: given }) => {
        told.push(given)
        return memory.complete(claim, { retentionMs })
      },
    }
    const { deliver } = endpoint({
      store,
      handle: (_, context) => {
        const copy = { ...context, db: 'a database' }
        return copy.complete(transaction)
      },
    })

    expect((await deliver()).status).toBe(200)
    expect(told).toEqual([transaction])
  })

  it.each<[string, (context: HandlerContext) => string]>([
    ['printed', (context) => inspect(context)],
    ['printed within something else', (context) => inspect({ context }, { depth: 9 })],
    ['printed as a copy', (context) => inspect({ ...context, db: 'a database' })],
    ['printed with what is hidden', (context) => inspect(context, { showHidden: true })],
    ['formatted', (context) => `${context}`],
    ['written as JSON', (context) => JSON.stringify({ context })],
    ['written as JSON as a copy', (context) => JSON.stringify({ ...context, db: 'a database' })],
    ['written as JSON without a member', ({ attempt, ...rest }) => JSON.stringify({ rest })],
  ])('shows neither the body nor the headers when it is %s', async (_, print) => {
    const { context } = await contextOf((given) => given)
    const printed = print(context)

    expect(printed.replaceAll(/\s/g, '')).not.toContain(bytesOfPhone)
    expect(printed).not.toContain(Buffer.from(phone).toString('hex').replaceAll(/..\B/g, '$& '))
    expect(printed).not.toContain(phone)
    expect(printed).not.toMatch(/x-webhook-signature|sha256=/)
  })

  it('shows what tells the run from others', async () => {
    const { context } = await contextOf((given) => given)

    expect(inspect(context)).toContain(`idempotencyKey: '${context.idempotencyKey}'`)
    expect(inspect({ ...context, db: 'a database' })).toMatch(/attempt: 1.*db: 'a database'/s)
    expect(JSON.parse(JSON.stringify(context))).toMatchObject({ attempt: 1 })
  })
})

async function contextOf(make: (context: HandlerContext) => object) {
  const made: HandlerContext[] = []
  const { deliver } = endpoint({
    handle: (_, given) => void made.push(make(given) as HandlerContext),
  })
  const request = post(event({ data: { call_id: 'call_1', from: phone } }))
  const { headers, body } = request
  const reply = await deliver(body, { headers: { ...headers, 'x-caller': phone } })
  const [context] = made
  if (context === undefined) throw new Error(`no handler ran: ${reply.body}`)
  return { context, body: Buffer.from(body as Uint8Array).toString() }
}
