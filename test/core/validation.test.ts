import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { endpoint, event, seen } from '../helpers/endpoint.ts'

const phone = '+14155550199'

describe('the issues of an invalid event', () => {
  it('say where and which kind, and never what was sent, not even as a key', async () => {
    const schema = z.strictObject({
      numbers: z.record(z.string(), z.object({ list: z.array(z.object({ kind: z.enum(['a']) })) })),
    })
    const { deliver, outcomes, lines } = endpoint({ events: { 'call.ringing': schema } })
    const data = {
      numbers: { [phone]: { list: [{ kind: 'a' }, { kind: phone }] } },
      [phone]: phone,
    }
    expect(seen(await deliver(event({ data })))).toBe('422 invalid RINGHOOK_EVENT_INVALID')
    expect(outcomes[0]?.issues).toEqual([
      { path: 'data.numbers.?.list.1.kind', code: 'invalid_value' },
      { path: 'data', code: 'unrecognized_keys' },
    ])
    expect(lines).toHaveLength(1)
    expect(lines.join() + JSON.stringify(outcomes)).not.toContain('4155550199')
  })

  it('are ten at most, and five of them in the log', async () => {
    const fields = Array.from({ length: 20 }, (_, at) => [`f${at}`, z.string()] as const)
    const { deliver, outcomes, lines } = endpoint({
      events: { 'call.ringing': z.object(Object.fromEntries(fields)) },
    })
    await deliver(event({ data: {} }))
    expect(outcomes[0]?.issues).toHaveLength(10)
    expect(lines.join().match(/invalid_type/g)).toHaveLength(5)
  })

  it('are one where the data is missing', async () => {
    for (const data of [undefined, null, 5, 'text', []]) {
      const { deliver, outcomes } = endpoint()
      expect(seen(await deliver(event({ data })))).toBe('422 invalid RINGHOOK_EVENT_INVALID')
      expect(outcomes[0]?.issues).toEqual([{ path: 'data', code: 'invalid_type' }])
    }
  })
})
