import fc from 'fast-check'
import { callkaro, krosai, memoryStore } from 'ringhook'
import { describe, expect, it } from 'vitest'
import {
  bodyId,
  digestKeyMaker,
  fingerprintOf,
  keyMaker,
} from '../../src/core/event/idempotency.ts'
import { endpoint, event, seen } from '../helpers/endpoint.ts'

/** Texts that meet where parts are glued together without their lengths, or by a character that they have. */
const tricky = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.string({
    unit: fc.constantFrom('1', '2', ':', '~', 'a', 'A', ' ', '\0', '\ud800', '\udfff', '\ufffd'),
    maxLength: 4,
  }),
  fc.string({ unit: fc.constantFrom('a', 'A', '_', '.', '-', '~'), maxLength: 3 }),
  fc.string({ unit: fc.constantFrom('a', '0'), minLength: 55, maxLength: 66 }),
)
const readable = /^[\w.-]+~(?:[\w.-]+~)?[\w.-]+$|^[\w.-]+~(?:[\w.-]+)?~[\w.-]+~[\w.-]+$/
const digest = /^[0-9a-f]{64}$/

describe('context.idempotencyKey', () => {
  it.each([
    [keyMaker('krosai', '')('evt_abc123'), 'krosai~evt_abc123'],
    [keyMaker('krosai', 'eu')('evt_abc123'), 'krosai~eu~evt_abc123'],
    [keyMaker('krosai', 'eu')('evt_abc123', 'acme'), 'krosai~eu~acme~evt_abc123'],
    [keyMaker('krosai', '')('evt_abc123', 'acme'), 'krosai~~acme~evt_abc123'],
    [keyMaker('krosai', '')('x'.repeat(57)), `krosai~${'x'.repeat(57)}`],
  ])('is readable where everything in it is short and plain: %s', (key, expected) => {
    expect(key).toBe(expected)
  })

  it.each([
    ['a long id', keyMaker('krosai', '')('x'.repeat(58))],
    ['a long tenant', keyMaker('krosai', '')('evt_1', 'x'.repeat(51))],
    ['a long namespace', keyMaker('krosai', 'x'.repeat(52))('evt_1')],
    ['an id with a separator', keyMaker('krosai', '')('evt~1')],
    ['an id with a colon', keyMaker('callkaro', '')('call_ended:1')],
    ['an id with a phone number', keyMaker('acme', '')('+2348012345678')],
    ['an id with a blank behind it', keyMaker('krosai', '')('evt_1 ')],
    ['an id with a line end behind it', keyMaker('krosai', '')('evt_1\n')],
    ['an id beyond ASCII', keyMaker('krosai', '')('évt_1')],
    ['an empty id', keyMaker('krosai', '')('')],
    ['a namespace that is not plain', keyMaker('krosai', 'e u')('evt_1')],
    ['a tenant that is an address', keyMaker('krosai', '')('evt_1', 'a@example.com')],
    ['an empty tenant', keyMaker('krosai', '')('evt_1', '')],
    ['a provider that is not plain', keyMaker('my provider', '')('evt_1')],
  ])('is a digest for %s', (_, key) => {
    expect(key).toMatch(digest)
  })

  it('is never shared by two combinations of provider, namespace, id and tenant', () => {
    const plain = fc.string({ unit: fc.constantFrom('a', '-'), minLength: 1, maxLength: 2 })
    const part = fc.oneof(plain, plain, tricky)
    const optional = fc.oneof(fc.constant(''), part)
    const parts = fc.tuple(part, optional, part, fc.option(part, { nil: undefined }))
    const makers = fc.constantFrom(keyMaker, digestKeyMaker)
    let read = 0
    fc.assert(
      fc.property(makers, makers, parts, parts, (one, other, a, b) => {
        const keyWith = (maker: typeof one, [provider, namespace, id, tenant]: typeof a) =>
          maker(provider, namespace)(id, tenant)
        const key = keyWith(one, a)
        expect(key.length).toBeLessThanOrEqual(64)
        expect(readable.test(key) || digest.test(key)).toBe(true)
        if (readable.test(key)) read++
        expect(key).toBe(keyWith(one, [...a]))
        // Two makers may agree on a digest, which is of the same parts then.
        const isSame = a.every((value, index) => value === b[index])
        if (!isSame || one === other) expect(key === keyWith(other, b)).toBe(isSame)
      }),
      { numRuns: 4_000, seed: 13 },
    )
    expect(read).toBeGreaterThan(100)
  })

  it('can be read back part by part when it is readable', () => {
    const part = fc.string({
      unit: fc.constantFrom('a', 'B', '7', '_', '.', '-'),
      minLength: 1,
      maxLength: 14,
    })
    const optional = fc.option(part, { nil: undefined })
    fc.assert(
      fc.property(part, optional, optional, part, (provider, namespace, tenant, id) => {
        const parts = keyMaker(provider, namespace ?? '')(id, tenant).split('~')
        const found =
          tenant !== undefined
            ? parts
            : [parts[0], parts.length === 3 ? parts[1] : '', undefined, parts.at(-1)]
        expect(found).toEqual([provider, namespace ?? '', tenant, id])
      }),
      { numRuns: 500, seed: 24 },
    )
  })

  it('keeps apart what a tenant could write into its id', () => {
    for (const maker of [keyMaker, digestKeyMaker]) {
      const keyOf = maker('krosai', '')
      const keys = [
        keyOf('evt_1', 'acme'),
        keyOf('evt_14:acme'),
        keyOf('acme~evt_1'),
        keyOf('~acme~evt_1'),
        keyOf('evt_1', '4:acme'),
        keyOf('evt_1'),
        keyOf('evt_1', ''),
        keyOf('evt_10:'),
        keyOf(keyMaker('krosai', '')('evt_1')),
        keyOf(digestKeyMaker('krosai', '')('evt_1')),
        maker('krosai', '5:evt_1')('acme'),
        maker('krosai', 'acme')('evt_1'),
      ]
      expect(new Set(keys).size).toBe(keys.length)
    }
  })

  it('keeps lone surrogates apart, which are the same in UTF-8', () => {
    const keyOf = keyMaker('krosai', '')
    const ids = ['\ud800', '\ud801', '\udfff', '\ufffd', 'a\ud800', '\ud800\udc00', '\udc00\ud800']
    expect(new Set(ids.map((id) => keyOf(id))).size).toBe(ids.length)
  })

  it('never changes: stores hold it across versions', () => {
    expect(keyMaker('krosai', '')('evt_1')).toBe('krosai~evt_1')
    expect(digestKeyMaker('krosai', '')('evt_1')).toBe(
      // SHA-256 of "6:krosai0:5:evt_1".
      '34024991b3e795a6a947d73fbadcf00d57b558eb287842e28167cf19440707f8',
    )
  })

  it('keeps the same id of two providers apart', () => {
    expect(keyMaker(krosai.name, '')('a')).not.toBe(keyMaker(callkaro.name, '')('a'))
  })

  it('shows nothing of what the eventId option returns', async () => {
    const { deliver, runs, outcomes, receiver } = endpoint({ eventId: () => '2348012345678' })
    await deliver()
    const key = digestKeyMaker('krosai', '')('2348012345678')
    expect(runs[0]?.context.idempotencyKey).toBe(key)
    expect(outcomes[0]?.idempotencyKey).toBe(key)
    expect(await receiver.status('2348012345678')).toBe('completed')
  })
})

describe('namespace', () => {
  it('keeps the events of receivers apart that share a store', async () => {
    const store = memoryStore()
    const answers: string[] = []
    for (const namespace of ['a', 'b', 'a', '', undefined]) {
      answers.push(
        seen(await endpoint({ store, ...(namespace !== undefined && { namespace }) }).deliver()),
      )
    }
    expect(answers).toEqual([
      '200 handled',
      '200 handled',
      '200 duplicate',
      '200 handled',
      '200 duplicate',
    ])
  })
})

describe('fingerprintOf', () => {
  it('tells other bytes from the same', () => {
    fc.assert(
      fc.property(
        fc.uint8Array(),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (bytes, at, change) => {
          expect(fingerprintOf(Uint8Array.from(bytes))).toBe(fingerprintOf(bytes))
          if (bytes.length === 0) return
          const other = Uint8Array.from(bytes)
          other[at % bytes.length] = (other[at % bytes.length] ?? 0) ^ change
          expect(fingerprintOf(other)).not.toBe(fingerprintOf(bytes))
        },
      ),
      { numRuns: 200, seed: 14 },
    )
  })

  it('covers the whole of 8 KiB, and beyond that both ends of 4 KiB and the length', () => {
    const half = 4 * 1024
    const body = (length: number) => Buffer.alloc(length, 'Hello, how can I help you? ')
    const changed = (bytes: Buffer, at: number) => {
      const other = Buffer.from(bytes)
      other[at] = (other[at] ?? 0) ^ 1
      return other
    }
    const whole = body(2 * half)
    for (let at = 0; at < whole.length; at++) {
      expect(fingerprintOf(changed(whole, at))).not.toBe(fingerprintOf(whole))
    }
    const long = body(2 * half + 1_000)
    for (let at = 0; at < long.length; at++) {
      const isSeen = at < half || at >= long.length - half
      expect(fingerprintOf(changed(long, at)) !== fingerprintOf(long)).toBe(isSeen)
    }
    const lengths = Array.from({ length: 2_000 }, (_, extra) =>
      fingerprintOf(Buffer.alloc(2 * half - 1_000 + extra)),
    )
    expect(new Set(lengths).size).toBe(lengths.length)
  })

  it('is the same for bytes in any view', () => {
    const bytes = Buffer.alloc(10_000, 'abc')
    const view = new Uint8Array([0, ...bytes, 0]).subarray(1, -1)
    expect(fingerprintOf(view)).toBe(fingerprintOf(bytes))
  })

  it('and its id are of the bytes alone', async () => {
    const body = Buffer.from(JSON.stringify(event({ id: undefined })))
    const { deliver, runs } = endpoint()
    await deliver(body)
    expect(runs[0]?.event.id).toBe(bodyId(body))
  })
})
