import express from 'express'
import { callkaro, createReceiver, krosai, odis } from 'ringhook'
import { webhooks } from 'ringhook/express'
import { manualClock, type ProviderSimulation, simulateProvider } from 'ringhook/testing'
import { describe, expect, it } from 'vitest'

const secret = 'a secret for tests'
const minute = 60_000

describe('simulateProvider', () => {
  it('plays KrosAI’s five attempts on their schedule, and the effect happens once', async () => {
    const clock = manualClock()
    let failures = 4
    const receiver = createReceiver(krosai, {
      secret,
      clock,
      logger: false,
      on: {
        'call.completed': () => {
          if (failures-- > 0) throw new Error('the CRM is down')
          simulation.effect('saved')
        },
      },
    })
    const simulation = simulateProvider(krosai, { target: receiver })
    simulation.send('call.completed')
    const { attempts, effects, undelivered } = await simulation.run()
    expect(attempts.map(({ atMs, attempt, status }) => [attempt, atMs / minute, status])).toEqual([
      [1, 0, 500],
      [2, 1, 500],
      [3, 6, 500],
      [4, 36, 500],
      [5, 156, 200],
    ])
    expect(effects).toEqual({ saved: 1 })
    expect(undelivered).toEqual([])
  })

  it('gives up after the last attempt and says which event was lost', async () => {
    const receiver = createReceiver(krosai, {
      secret,
      clock: manualClock(),
      logger: false,
      on: {
        'call.failed': () => {
          throw new Error('always')
        },
        'call.completed': () => {},
      },
    })
    const simulation = simulateProvider(krosai, { target: receiver })
    simulation.send('call.completed')
    simulation.send('call.failed')
    const { attempts, undelivered, disabled } = await simulation.run()
    expect(attempts).toHaveLength(6)
    expect([undelivered, disabled]).toEqual([[1], false])
  })

  it('has ODIS disable the endpoint after five failed attempts of one event', async () => {
    const receiver = createReceiver(odis, {
      secret,
      clock: manualClock(),
      logger: false,
      on: {
        'call.ended': () => {
          throw new Error('always')
        },
      },
    })
    const simulation = simulateProvider(odis, { target: receiver })
    simulation.send('call.ended')
    const { attempts, disabled } = await simulation.run()
    expect([attempts.length, disabled]).toEqual([5, true])
  })

  it('has CallKaro send every event from two hooks at once, and the effect happens once', async () => {
    const receiver = createReceiver(callkaro, {
      allowUnsigned: true,
      clock: manualClock(),
      on: { call_ended: () => simulation.effect('saved') },
    })
    const simulation: ProviderSimulation<typeof callkaro> = simulateProvider(callkaro, {
      target: receiver,
    })
    simulation.send('call_ended')
    const { attempts, effects } = await simulation.run()
    expect(attempts.map(({ copy, outcome }) => [copy, outcome]).sort()).toEqual([
      [1, 'handled'],
      [2, 'duplicate'],
    ])
    expect(effects).toEqual({ saved: 1 })
  })

  it('reaches a receiver that asks for a token in the URL and for an address', async () => {
    const receiver = createReceiver(callkaro, {
      urlToken: 'a-token-of-some-length',
      allowedIps: ['203.0.113.7'],
      clock: manualClock(),
      logger: false,
      on: { call_ended: () => {} },
    })
    for (const [changes, statuses] of [
      [{}, [403, 403]],
      [{ remoteAddress: '203.0.113.7' }, [401, 401]],
      [{ remoteAddress: '203.0.113.7', url: '/?token=a-token-of-some-length' }, [200, 200]],
    ] as const) {
      const simulation = simulateProvider(callkaro, { target: receiver, ...changes })
      simulation.send('call_ended')
      expect((await simulation.run()).attempts.map(({ status }) => status)).toEqual(statuses)
    }
  })

  it('fails for an event that nobody documents, and in one place only', async () => {
    const receiver = createReceiver(krosai, { secret, clock: manualClock(), logger: false })
    const simulation = simulateProvider(krosai, { target: receiver })
    simulation.send('call.nope' as never)
    await expect(simulation.run()).rejects.toMatchObject({ code: 'RINGHOOK_FIXTURE_INVALID' })
  })

  it('times out like the provider: a slow handler goes on, and the retry finds it done', async () => {
    const clock = manualClock()
    const receiver = createReceiver(krosai, {
      secret,
      clock,
      logger: false,
      on: {
        'call.completed': async () => {
          await clock.sleep(45_000)
          simulation.effect('saved')
        },
      },
    })
    const simulation = simulateProvider(krosai, { target: receiver, timeoutMs: 5_000 })
    simulation.send('call.completed')
    const { attempts, effects } = await simulation.run()
    expect(attempts.map(({ status, outcome }) => [status, outcome])).toEqual([
      [undefined, undefined],
      [200, 'duplicate'],
    ])
    expect(effects).toEqual({ saved: 1 })
  })

  it('finds the new instance after a deploy in the middle of the retries', async () => {
    const clock = manualClock()
    let deployed = false
    const make = () =>
      createReceiver(krosai, {
        secret,
        clock,
        logger: false,
        on: {
          'call.completed': () => {
            simulation.effect('saved')
          },
        },
      })
    const old = make()
    const next = make()
    await old.close()
    const simulation = simulateProvider(krosai, {
      target: () => {
        if (deployed) return next
        deployed = true
        return old
      },
    })
    simulation.send('call.completed')
    const { attempts, effects, undelivered } = await simulation.run()
    expect(attempts.at(-1)).toMatchObject({ status: 200, outcome: 'handled' })
    expect([effects, undelivered]).toEqual([{ saved: 1 }, []])
  })

  it('delivers to a URL, and counts a server that is not there as a failed attempt', async () => {
    const receiver = createReceiver(krosai, {
      secret,
      on: { 'call.completed': () => simulation.effect('saved') },
    })
    const server = express().post('/hooks', webhooks(receiver)).listen(0, '127.0.0.1')
    await new Promise((resolve) => server.once('listening', resolve))
    const { port } = server.address() as { port: number }
    const urls = ['http://127.0.0.1:1/hooks', `http://127.0.0.1:${port}/hooks`]
    let asked = 0
    const simulation: ProviderSimulation<typeof krosai> = simulateProvider(krosai, {
      // Asked once to sign, then for every attempt.
      target: () => urls[Math.min(Math.max(asked++ - 2, 0), 1)] ?? '',
      secret,
    })
    simulation.send('call.completed')
    const { attempts, effects } = await simulation.run()
    server.close()
    expect(attempts[0]).not.toHaveProperty('status')
    expect(attempts.at(-1)).toMatchObject({ status: 200, outcome: 'handled' })
    expect(effects).toEqual({ saved: 1 })
  })
})
