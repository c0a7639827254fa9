import { callkaro, createReceiver, krosai, type OutcomeName, odis, type Provider } from 'ringhook'
import { deliver } from 'ringhook/testing'
import { describe, expect, it } from 'vitest'

// What a dashboard may send to try an endpoint. The pages of providers say what becomes of it.
const timestamp = new Date().toISOString()
const bodies: readonly [what: string, body: object][] = [
  ['nothing but data', { data: {} }],
  ['a name and no timestamp', { event: 'ping', data: {} }],
  ['a documented name and no timestamp', { event: 'call.started', data: {} }],
  ['an undocumented name, and no id', { event: 'ping', timestamp, data: {} }],
]

function answers(provider: Provider, outcomes: readonly (readonly [OutcomeName, string?])[]): void {
  it.each(
    bodies.map(([what, body], index) => [what, body, outcomes[index] ?? ['handled']] as const),
  )('answers a test delivery with %s', async (_, body, [outcome, code]) => {
    const receiver = createReceiver(provider, {
      ...(provider.signature === false
        ? { allowUnsigned: true as const }
        : { secret: 'a secret for tests' }),
      logger: false,
      on: { [Object.keys(provider.events)[0] ?? '*']: () => {} },
    } as never)
    const delivered = await deliver(receiver, Buffer.from(JSON.stringify(body)))
    expect(delivered.body).toEqual(code === undefined ? { outcome } : { outcome, code })
    const again = await deliver(receiver, Buffer.from(JSON.stringify(body)))
    expect(again.status).toBe(delivered.status)
  })
}

const missing = ['rejected', 'RINGHOOK_EVENT_MISSING'] as const
const undated = ['rejected', 'RINGHOOK_TIMESTAMP_MISSING'] as const

describe('krosai', () => answers(krosai, [missing, undated, undated, ['ignored']]))
describe('odis', () => answers(odis, [missing, undated, undated, ['ignored']]))
describe('callkaro', () => answers(callkaro, [missing, ['ignored'], ['ignored'], ['ignored']]))
