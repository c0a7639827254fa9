import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, it } from 'vitest'
import { endpoint, event, seen } from '../helpers/endpoint.ts'

setFlagsFromString('--expose-gc')
const collectGarbage: () => void = runInNewContext('gc')

const size = 500_000
const count = 150

function heapUsed(): number {
  collectGarbage()
  return process.memoryUsage().heapUsed
}

it.each([
  ['event names', (at: number) => ({ event: `name-${at}-${'x'.repeat(size)}` })],
  ['event names and ids', (at: number) => ({ event: `n${at}`, id: `${at}${'x'.repeat(size)}` })],
  ['ids of events that are handled', (at: number) => ({ id: `${at}${'x'.repeat(size)}` })],
  ['ids of events that fail', (at: number) => ({ id: `${at}${'x'.repeat(size)}`, data: 5 })],
  ['timestamps', (at: number) => ({ timestamp: `${at}${'x'.repeat(size)}` })],
])('a receiver keeps next to nothing of long %s', async (_, changes) => {
  const { receiver, deliver } = endpoint({
    on: { 'call.ringing': () => {} },
    onOutcome: () => {},
    logger: false,
  })
  await deliver()
  const before = heapUsed()
  for (let at = 0; at < count; at++) await deliver(event(changes(at)))
  const grown = heapUsed() - before

  // All of them together are 75 MB.
  expect(grown).toBeLessThan((size * count) / 5)
  expect(seen(await deliver(event({ id: 'evt_2' })))).toBe('200 handled')
  await receiver.close()
})

it('an undocumented name is warned of once, however long it is', async () => {
  const { deliver, lines } = endpoint({ on: { 'call.ringing': () => {} } })
  for (const name of ['x'.repeat(size), 'x'.repeat(size), `${'x'.repeat(size)}y`]) {
    await deliver(event({ event: name }))
  }
  expect(lines).toHaveLength(2)
})
