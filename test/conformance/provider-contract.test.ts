import { callkaro, defineProvider, krosai, odis } from 'ringhook'
import { providerContract } from 'ringhook/conformance'
import { describe, expect, it, test } from 'vitest'

describe('providerContract', () => {
  for (const provider of [krosai, odis, callkaro]) providerContract({ test, provider })

  it('catches a provider whose sample does not fit its own schema', async () => {
    const [failed, passed] = await outcomes(
      defineProvider({
        ...krosai,
        name: 'broken',
        events: {
          'call.ringing': {
            ...krosai.events['call.ringing'],
            schema: krosai.events['call.failed'].schema,
          },
          'call.answered': krosai.events['call.answered'],
        },
      }),
    )
    expect(failed).toContain(
      'broken: the sample of call.ringing is handled once, however often it is sent',
    )
    expect(passed).toContain(
      'broken: the sample of call.answered is handled once, however often it is sent',
    )
  })

  it('catches a provider that gives every event the same id', async () => {
    const [failed] = await outcomes(
      defineProvider({
        ...krosai,
        name: 'broken',
        read: (body) => ({
          event: body['event'],
          id: 'same',
          timestamp: body['timestamp'],
          data: body['data'],
        }),
      }),
    )
    expect(failed).toContain('broken: one sample sent with two ids is two events')
  })
})

async function outcomes(provider: Parameters<typeof providerContract>[0]['provider']) {
  const failed: string[] = []
  const passed: string[] = []
  const rules: [string, () => Promise<void>][] = []
  providerContract({ test: (name, run) => void rules.push([name, run]), provider })
  for (const [name, run] of rules) {
    await run().then(
      () => passed.push(name),
      () => failed.push(name),
    )
  }
  return [failed, passed]
}
