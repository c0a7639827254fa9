import { createReceiver, krosai, type Outcome } from 'ringhook'
import { deliver, fixture, manualClock, signedRequest, simulateProvider } from 'ringhook/testing'
import { describe, expect, it } from 'vitest'
import { MemoryCrm } from './crm.ts'
import { crmHandlers } from './handlers.ts'

const { data: documentedCall } = fixture(krosai, 'call.completed')
const ada = { id: 'cus_1', name: 'Ada', phone: documentedCall.from_number }
const monday = new Date('2026-11-02T09:00:00Z')

describe('the CRM handlers', () => {
  it('add a completed call to the page of the customer who called', async () => {
    const { receiver, crm } = setUp()

    const { status, outcome } = await deliver(receiver, 'call.completed')

    expect([status, outcome]).toEqual([200, 'handled'])
    expect(crm.activities).toEqual([
      {
        customerId: 'cus_1',
        callId: documentedCall.call_id,
        minutes: 3,
        summary: documentedCall.transcript,
      },
    ])
  })

  it.each([
    [0, 0],
    [1, 1],
    [60, 1],
    [61, 2],
  ])('charge a call of %i s as %i min', async (duration, minutes) => {
    const { receiver, crm } = setUp()

    await deliver(receiver, 'call.completed', { overrides: { data: { duration } } })

    expect(crm.activities).toMatchObject([{ minutes }])
  })

  it('find the customer by the number that was called, when the call went out', async () => {
    const { receiver, crm } = setUp()
    const data = { direction: 'outbound', from_number: '+2348012345678', to_number: ada.phone }

    await deliver(receiver, 'call.completed', { overrides: { data } })

    expect(crm.activities).toMatchObject([{ customerId: 'cus_1' }])
  })

  it('do without a transcript, which KrosAI does not always send', async () => {
    const { receiver, crm } = setUp()

    await deliver(receiver, 'call.completed', { overrides: { data: { transcript: undefined } } })

    expect(crm.activities).toMatchObject([{ summary: 'No transcript' }])
  })

  it('ask for a call back within the hour when a call failed', async () => {
    const { receiver, crm } = setUp()
    const data = { to_number: ada.phone }

    await deliver(receiver, 'call.failed', { overrides: { data } })

    expect(crm.callBacks).toEqual([
      {
        customerId: 'cus_1',
        reason: 'Failed to establish connection',
        dueAt: new Date('2026-11-02T10:00:00Z'),
      },
    ])
  })

  it('add a call once that is delivered again, or many times at the same moment', async () => {
    const { receiver, crm } = setUp()
    const request = signedRequest(krosai, 'call.completed', { secret, clock: manualClock(monday) })

    const { outcome, duplicates } = await deliver(receiver, request, { duplicate: 3 })
    const later = await deliver(receiver, request)

    expect(outcome).toBe('handled')
    expect(duplicates.map((copy) => copy.outcome)).toEqual(['duplicate', 'duplicate', 'duplicate'])
    expect(later.outcome).toBe('duplicate')
    expect(crm.activities).toHaveLength(1)
  })

  it('add a call once when the CRM is down for the first two attempts of KrosAI', async () => {
    const { receiver, crm } = setUp({ crm: new UnreliableCrm([ada], 2) })
    const simulation = simulateProvider(krosai, { target: receiver })
    simulation.send('call.completed')

    const { attempts, undelivered } = await simulation.run()

    const minutes = attempts.map(({ atMs, status }) => [atMs / 60_000, status])
    expect(minutes).toEqual([
      [0, 500],
      [1, 500],
      [6, 200],
    ])
    expect(undelivered).toEqual([])
    expect(crm.activities).toHaveLength(1)
  })

  it('end the event of a stranger, which no retry would help, and say so to the metrics', async () => {
    const { receiver, crm, outcomes } = setUp()
    const simulation = simulateProvider(krosai, { target: receiver })
    simulation.send('call.completed', { overrides: { data: { from_number: '+15550000000' } } })

    const { attempts } = await simulation.run()

    expect(attempts).toMatchObject([{ status: 200, outcome: 'failed' }])
    expect(outcomes).toMatchObject([{ code: 'RINGHOOK_PERMANENT_FAILURE' }])
    expect(crm.activities).toEqual([])
  })

  it('never see a delivery that somebody else signed', async () => {
    const { receiver, crm } = setUp()

    const { status, body } = await deliver(receiver, 'call.completed', { forge: true })

    expect(status).toBe(401)
    expect(body).toEqual({ outcome: 'rejected', code: 'RINGHOOK_NOT_AUTHENTIC' })
    expect(crm.activities).toEqual([])
  })
})

const secret = 'a secret for tests'

/** A CRM that fails its first writes. */
class UnreliableCrm extends MemoryCrm {
  #failures: number

  constructor(customers: ConstructorParameters<typeof MemoryCrm>[0], failures: number) {
    super(customers)
    this.#failures = failures
  }

  override async addActivity(...activity: Parameters<MemoryCrm['addActivity']>): Promise<void> {
    if (this.#failures-- > 0) throw new Error('the CRM is down')
    await super.addActivity(...activity)
  }
}

function setUp({ crm = new MemoryCrm([ada]) } = {}) {
  const outcomes: Outcome[] = []
  const receiver = createReceiver(krosai, {
    secret,
    clock: manualClock(monday),
    logger: false,
    onOutcome: (outcome) => outcomes.push(outcome),
    on: crmHandlers(crm),
  })
  return { receiver, crm, outcomes }
}
