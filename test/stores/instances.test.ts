import { createReceiver, krosai, type Receiver } from 'ringhook'
import { deliver, fixture, manualClock } from 'ringhook/testing'
import { afterAll, describe, expect, it } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import {
  mysqlSubject,
  postgresSubject,
  redisSubject,
  type Subject,
  sqliteSubject,
} from './subjects.ts'

describe('two instances on sqliteStore', () => shareEvents(sqliteSubject()))
describeOn('redis', 'two instances on redisStore', (url) => shareEvents(redisSubject(url)))
describeOn('postgres', 'two instances on postgresStore', (url) => shareEvents(postgresSubject(url)))
describeOn('mysql', 'two instances on mysqlStore', (url) => shareEvents(mysqlSubject(url)))

function shareEvents(subject: Subject): void {
  afterAll(() => subject.close())

  it('see what the other has completed', async () => {
    const { one, other, ran, id } = await instances()
    expect(await other.status(id)).toBe('unknown')
    expect(await outcomeOf(one, id)).toBe('handled')
    expect(await other.status(id)).toBe('completed')
    expect(await outcomeOf(other, id)).toBe('duplicate')
    expect(ran).toEqual(['one'])
  })

  it('run an event once that reaches both at the same moment', async () => {
    const { one, other, ran, id } = await instances()
    const outcomes = await Promise.all([outcomeOf(one, id), outcomeOf(other, id)])
    expect(outcomes.sort()).toEqual(['duplicate', 'handled'])
    expect(ran).toHaveLength(1)
  })

  it('run an event again that an operator has forgotten at one of them, wherever it arrives', async () => {
    const { one, other, ran, id } = await instances()
    await outcomeOf(one, id)
    expect(await other.forget(id)).toBe('forgotten')
    expect(await other.forget(id)).toBe('unknown')
    expect(await outcomeOf(one, id)).toBe('handled')
    expect(await outcomeOf(other, id)).toBe('duplicate')
    expect(ran).toEqual(['one', 'one'])
  })

  it('do not forget an event that the other runs', async () => {
    const { one, other, ran, id } = await instances({
      whileRunning: async () => {
        expect(await other.forget(id)).toBe('in_flight')
        expect(await other.status(id)).toBe('in_flight')
      },
    })
    expect(await outcomeOf(one, id)).toBe('handled')
    expect(await outcomeOf(other, id)).toBe('duplicate')
    expect(ran).toEqual(['one'])
  })

  async function instances({ whileRunning = async () => {} } = {}) {
    const store = await subject.create({ clock: manualClock(Date.now()) })
    const ran: string[] = []
    const instance = (name: string) =>
      createReceiver(krosai, {
        secret: 'a secret for tests',
        store,
        logger: false,
        on: {
          'call.completed': async () => {
            ran.push(name)
            await whileRunning()
          },
        },
      })
    const id = `evt_${crypto.randomUUID()}`
    return { one: instance('one'), other: instance('other'), ran, id }
  }
}

async function outcomeOf(receiver: Receiver<typeof krosai>, id: string) {
  const { outcome } = await deliver(receiver, fixture(krosai, 'call.completed', { id }))
  return outcome
}
