import { AsyncLocalStorage } from 'node:async_hooks'
import { expect, it } from 'vitest'
import { openEndpoint, signed, until } from './receiver-endpoint.ts'
import type { Place } from './receiver-places.ts'

/** Handlers run in the async context of who started the worker, whichever request woke it. */
export function runsInItsContext(open: () => Promise<Place>): void {
  it.each([
    ['the context that start() was called in', 'worker'],
    ['none, where start() was called in none', undefined],
  ])('runs handlers, retries and what is told of them in %s', async (_, context) => {
    const { inbox, store } = await open()
    const contexts = new AsyncLocalStorage<string>()
    const inHandlers: string[] = []
    const inOutcomes: string[] = []
    const inLogger: string[] = []
    let requests = 0
    const log = () => void inLogger.push(String(contexts.getStore()))
    const { receiver, deliver } = await openEndpoint({
      inbox,
      store,
      retry: { maxAttempts: 2, initialDelayMs: 1 },
      logger: { debug() {}, info() {}, warn: log, error: log },
      around: (_request, _response, next) => contexts.run(`request ${++requests}`, next),
      onOutcome: ({ outcome, eventId, attempt }) => {
        inOutcomes.push(`${outcome} ${eventId} ${attempt}: ${contexts.getStore()}`)
      },
      handle: async ({ id }, { attempt }) => {
        inHandlers.push(`${id} ${attempt}: ${contexts.getStore()}`)
        contexts.enterWith(`the handler of ${id}`)
        if (attempt === 1) throw new Error('not yet')
      },
    })
    // One waits already when the worker begins; the others wake it.
    expect(await deliver(signed('evt_1'))).toBe('200 accepted')
    if (context === undefined) await receiver.start()
    else await contexts.run(context, () => receiver.start())
    await until(() => inHandlers.length === 2)
    for (const id of ['evt_2', 'evt_3']) expect(await deliver(signed(id))).toBe('200 accepted')
    await until(() => inOutcomes.length === 9)

    const ids = ['evt_1', 'evt_2', 'evt_3']
    expect([...inHandlers].sort()).toEqual(
      ids.flatMap((id) => [`${id} 1: ${context}`, `${id} 2: ${context}`]),
    )
    expect([...inOutcomes].sort()).toEqual(
      [
        ...ids.map((id, index) => `accepted ${id} undefined: request ${index + 1}`),
        ...ids.map((id) => `failed ${id} 1: ${context}`),
        ...ids.map((id) => `handled ${id} 2: ${context}`),
      ].sort(),
    )
    expect(new Set(inLogger)).toEqual(new Set([String(context)]))
  })
}
