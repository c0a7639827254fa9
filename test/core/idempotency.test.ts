import fc from 'fast-check'
import { callkaro, krosai, memoryStore } from 'ringhook'
import { describe, expect, it } from 'vitest'
import { bodyId, fingerprintOf, keyMaker } from '../../src/core/idempotency.ts'
import { endpoint, event, seen } from '../helpers/endpoint.ts'

/** Texts that meet where parts are glued together without their lengths. */
const tricky = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 6 }),
  fc.string({
    unit: fc.constantFrom('1', '2', ':', 'a', '\0', '\ud800', '\udfff', '\ufffd'),
    maxLength: 4,
  }),
)

describe('context.idempotencyKey', () => {
  it('is 64 hex digits, and no two combinations of provider, namespace, id and tenant share one', () => {
    const parts = fc.tuple(tricky, tricky, tricky, fc.option(tricky, { nil: undefined }))
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        const keyOf = ([provider, namespace, id, tenant]: typeof a) =>
          keyMaker(provider, namespace)(id, tenant)
        expect(keyOf(a)).toMatch(/^[0-9a-f]{64}$/)
        expect(keyOf(a)).toBe(keyOf([...a]))
        expect(keyOf(a) === keyOf(b)).toBe(a.every((part, at) => part === b[at]))
      }),
      { numRuns: 2_000, seed: 13 },
    )
  })

  it('keeps apart what a tenant could write into its id', () => {
    const keyOf = keyMaker('krosai', '')
    const keys = [
      keyOf('evt_1', 'acme'),
      keyOf('evt_14:acme'),
      keyOf('evt_1', '4:acme'),
      keyOf('evt_1'),
      keyOf('evt_1', ''),
      keyOf('evt_10:'),
      keyMaker('krosai', '5:evt_1')('acme'),
    ]
    expect(new Set(keys).size).toBe(keys.length)
  })

  it('keeps lone surrogates apart, which are the same in UTF-8', () => {
    const keyOf = keyMaker('krosai', '')
    const ids = ['\ud800', '\ud801', '\udfff', '\ufffd', 'a\ud800', '\ud800\udc00', '\udc00\ud800']
    expect(new Set(ids.map((id) => keyOf(id))).size).toBe(ids.length)
  })

  it('never changes: stores hold it across versions', () => {
    expect(keyMaker('krosai', '')('evt_1')).toBe(
      // SHA-256 of "6:krosai0:5:evt_1".
      '34024991b3e795a6a947d73fbadcf00d57b558eb287842e28167cf19440707f8',
    )
  })

  it('keeps the same id of two providers apart', () => {
    expect(keyMaker(krosai.name, '')('a')).not.toBe(keyMaker(callkaro.name, '')('a'))
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
