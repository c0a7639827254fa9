import { callkaro, createReceiver, krosai, odis, type Provider } from 'ringhook'
import { fixture } from 'ringhook/testing'
import { describe, expect, it } from 'vitest'

const size = 1_000_000
const phone = '+14155550199'

/** Values of 1 MB each, as JSON: whatever could make a schema work. */
const huge: Readonly<Record<string, string>> = {
  'an array of numbers': arrayOf('1'),
  'an array of nulls': arrayOf('null'),
  'an array of texts': arrayOf('""'),
  'an array of booleans': arrayOf('true'),
  'an array of empty objects': arrayOf('{}'),
  'an array of arrays': arrayOf('[]'),
  'an array of arrays of arrays': arrayOf('[[1]]'),
  'an array of objects that are wrong in one field': arrayOf('{"type":1}'),
  'an array of objects that are wrong in each field': arrayOf('{"name":1,"success":1}'),
  'an array that is wrong at its end': `${arrayOf('{"type":"a","name":"a"}').slice(0, -1)},1]`,
  'an array of objects of many keys': `[${arrayOf(
    objectOf('1')
      .slice(0, 50_000)
      .replace(/,[^,]*$/, '}'),
  ).slice(1)}`,
  'an object of numbers': objectOf('1'),
  'an object of objects': objectOf('{}'),
  'an object that is wrong at its end': `${objectOf('{}').slice(0, -1)},"last":1}`,
  'an object with indexes as its keys': objectOf('1', (at) => `${at * 7}`),
  'an object of one key': objectOf('1', () => 'a'),
  'a text': `"${'a'.repeat(size)}"`,
  'a number': '1'.repeat(size),
}

describe.each<Provider>([callkaro, odis, krosai])('$name, its schemas', (provider) => {
  const events = Object.entries(provider.events).flatMap(([type, { schema, samples = {} }]) => {
    const [body] = Object.values(samples)
    const data = body === undefined ? {} : provider.read(body, {}).data
    return { type, schema, data: data as object }
  })

  it.each(Object.entries(huge))('take little time for %s, in whichever field', (_, json) => {
    // What the schema takes is held against what it takes to parse the body, which is linear.
    const parsing = Math.max(
      1,
      fastest(() => JSON.parse(json), 0),
    )
    const value: unknown = JSON.parse(json)
    for (const { type, schema, data } of events) {
      const given = [value, ...Object.keys(data).map((field) => ({ ...data, [field]: value }))]
      for (const candidate of given) {
        const result = schema.safeParse(candidate)
        const issues = result.success ? 0 : result.error.issues.length
        expect(issues, type).toBeLessThan(30)
        const took = fastest(() => schema.safeParse(candidate), 10 * parsing)
        expect(took / parsing, type).toBeLessThan(10)
      }
    }
  })
})

describe('createReceiver()', () => {
  it('says of 500 000 wrong elements which is the first', async () => {
    const receiver = createReceiver(callkaro, {
      allowUnsigned: true,
      logger: false,
      on: { call_ended: () => {} },
    })
    const wrong = [{ name: 'a' }, { name: 5, success: phone }, '#']
    const sent = fixture(callkaro, 'call_ended')
    Object.assign(sent['data'] ?? {}, { functions_called: wrong })
    const body = Buffer.from(JSON.stringify(sent).replace('"#"', `1${',1'.repeat(450_000)}`))
    const { outcome } = await receiver.receive({ method: 'POST', url: '/', headers: {}, body })

    expect(outcome).toMatchObject({
      outcome: 'invalid',
      issues: [
        { path: 'data.functions_called.1.name', code: 'invalid_type' },
        { path: 'data.functions_called.1.success', code: 'invalid_type' },
      ],
    })
  })
})

function arrayOf(item: string): string {
  return `[${new Array(Math.floor(size / (item.length + 1))).fill(item).join(',')}]`
}

function objectOf(value: string, keyOf = (at: number) => `k${at}`): string {
  const entries: string[] = []
  for (let length = 0; length < size; length += (entries.at(-1)?.length ?? 0) + 1) {
    entries.push(`"${keyOf(entries.length)}":${value}`)
  }
  return `{${entries.join(',')}}`
}

/**
 * The least processor time of a few runs, in ms: other processes don't count, and can't add much.
 * One run that is fast enough will do.
 */
function fastest(run: () => unknown, enough: number): number {
  let best = Number.POSITIVE_INFINITY
  for (let round = 0; round < 3 && best >= enough; round++) {
    const before = process.cpuUsage()
    run()
    const { user, system } = process.cpuUsage(before)
    best = Math.min(best, (user + system) / 1_000)
  }
  return best
}
