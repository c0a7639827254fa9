import assert from 'node:assert/strict'
import { newGate } from '../gate.ts'
import { assertAnswer, newEvent, signed } from './events.ts'
import type { Rule } from './harness.ts'

/** Many deliveries at once. */
export function concurrencyRules(rule: Rule): void {
  rule('handles each of 200 simultaneous deliveries once', async ({ clock, open }) => {
    const { opened, open: finish } = newGate()
    const endpoint = await open({ handle: () => opened })
    const ids = Array.from({ length: 200 }, (_, index) => `evt_${index}`)
    const answers = ids.map((id) => endpoint.send(signed(newEvent(clock, { id }))))
    await endpoint.until(() => endpoint.calls.length === ids.length)
    finish()
    for (const answer of await Promise.all(answers)) assertAnswer(answer, 200, 'handled')
    assert.deepEqual(endpoint.calls.map(({ event }) => event.id).sort(), ids.sort())
  })

  rule(
    'handles 50 simultaneous copies of an event once, and answers 200 to all',
    async ({ clock, open }) => {
      const { opened, open: finish } = newGate()
      const endpoint = await open({ handle: () => opened })
      const delivery = signed(newEvent(clock))
      const sent = Array.from({ length: 50 }, () => endpoint.send(delivery))
      await endpoint.until(() => endpoint.waits === sent.length - 1)
      finish()
      const answers = await Promise.all(sent)
      const handled = answers.filter(({ body }) => body === '{"outcome":"handled"}')
      assert.equal(handled.length, 1)
      for (const answer of answers) {
        assertAnswer(answer, 200, handled.includes(answer) ? 'handled' : 'duplicate')
      }
      assert.equal(endpoint.calls.length, 1)
    },
  )
}
