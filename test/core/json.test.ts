import { isUtf8 } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { parseJsonObject } from '../../src/core/event/json.ts'
import { endpoint, event, seen } from '../helpers/endpoint.ts'

const notUtf8 = '400 rejected RINGHOOK_BODY_NOT_UTF8'
const notJson = '400 rejected RINGHOOK_BODY_NOT_JSON'
const tooDeep = '400 rejected RINGHOOK_BODY_TOO_DEEP'

/** An event that has `levels` objects or arrays within each other, itself included. */
function nested(levels: number, open = '[', close = ']'): Buffer {
  const inner = levels - 1
  const { data: _, ...rest } = event()
  return Buffer.from(
    `${JSON.stringify(rest).slice(0, -1)},"data":${open.repeat(inner)}${'0'.repeat(open === '[' ? 0 : 1)}${close.repeat(inner)}}`,
  )
}

describe('the body of a delivery', () => {
  it.each([
    ['as it is', '"__proto__"'],
    ['with an escape', '"\\u005f_proto__"'],
    [
      'with every letter escaped',
      '"\\u005F\\u005f\\u0070\\u0072\\u006f\\u0074\\u006f\\u005f\\u005f"',
    ],
  ])('loses keys that would change a prototype, at any depth, written %s', (_, key) => {
    const text = `{"a":{"b":[{${key}:{"admin":true},"c":1}]},${key}:{"admin":true}}`
    const value = parseJsonObject(Buffer.from(text))
    expect(value).toEqual({ a: { b: [{ c: 1 }] } })
    expect(JSON.stringify(value)).not.toContain('admin')
    expect(Object.assign({}, value)).not.toHaveProperty('admin')
  })

  it.each([
    ['a byte that is never in UTF-8', [0xff]],
    ['a continuation without a start', [0x80]],
    ['a start without its continuation', [0xc3]],
    ['"/" in two bytes', [0xc0, 0xaf]],
    ['"/" in three bytes', [0xe0, 0x80, 0xaf]],
    ['"/" in four bytes', [0xf0, 0x80, 0x80, 0xaf]],
    ['NUL in two bytes', [0xc0, 0x80]],
    ['a surrogate', [0xed, 0xa0, 0x80]],
    ['a surrogate pair, as in CESU-8', [0xed, 0xa0, 0xbd, 0xed, 0xb2, 0xa9]],
    ['more than U+10FFFF', [0xf4, 0x90, 0x80, 0x80]],
  ])('that contains %s is refused: it is not UTF-8', async (_, bytes) => {
    const text = Buffer.from(JSON.stringify(event({ id: '#' })))
    const at = text.indexOf('#')
    const body = Buffer.concat([text.subarray(0, at), Buffer.from(bytes), text.subarray(at + 1)])
    expect(seen(await endpoint().deliver(body))).toBe(notUtf8)
  })

  it('is refused if one byte of it is wrong, and not for a replacement character of its own', () => {
    const text = JSON.stringify({ a: 'ü€💥\ufffd\u07ff\uffff' })
    const plain = JSON.stringify({ a: 'abcdefghijklm' })
    let refused = 0
    fc.assert(
      fc.property(
        fc.constantFrom(text, plain, text.replace('\ufffd', '')),
        fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0x7e, max: 0xff })), { maxLength: 2 }),
        (original, changes) => {
          const bytes = Buffer.from(original)
          // Behind the opening of the text, and before its end.
          for (const [at, byte] of changes) bytes[6 + (at % (bytes.length - 8))] = byte
          const parsed = parseJsonObject(bytes)
          if (isUtf8(bytes)) expect(parsed).toEqual({ a: bytes.toString().slice(6, -2) })
          else {
            expect(parsed).toBe('RINGHOOK_BODY_NOT_UTF8')
            refused++
          }
        },
      ),
      { numRuns: 1_000, seed: 23 },
    )
    expect(refused).toBeGreaterThan(300)
  })

  it('that is in UTF-16 is refused', async () => {
    const json = JSON.stringify(event())
    expect(seen(await endpoint().deliver(Buffer.from(`\ufeff${json}`, 'utf16le')))).toBe(notUtf8)
    expect(seen(await endpoint().deliver(Buffer.from(json, 'utf16le')))).toBe(notJson)
  })

  it.each([
    ['empty', ''],
    ['a blank', ' '],
    ['a byte order mark before it', `\ufeff${JSON.stringify(event())}`],
    ['NUL after it', `${JSON.stringify(event())}\0`],
    ['more after it', `${JSON.stringify(event())}{}`],
    ['cut', JSON.stringify(event()).slice(0, -1)],
    ['a list', `[${JSON.stringify(event())}]`],
    ['null', 'null'],
    ['a number', '5'],
    ['a text', '"call.ringing"'],
    ['a form', 'event=call.ringing&id=1'],
    ['with a comment', '{/**/}'],
    ['with single quotes', "{'event':'call.ringing'}"],
    ['with NaN', '{"event":NaN}'],
    ['a bare "["', '['.repeat(100_000)],
  ])('that is not a JSON object is refused: %s', async (_, text) => {
    expect(seen(await endpoint().deliver(Buffer.from(text)))).toBe(notJson)
  })

  it('may nest 256 levels deep, and not 257', async () => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      const { deliver, runs } = endpoint({ on: { '*': () => {} }, events: {} })
      const body = (levels: number) =>
        Buffer.from(nested(levels, open, close).toString().replace('call.ringing', 'of.mine'))
      expect(seen(await deliver(body(256)))).toBe('200 handled')
      expect(seen(await deliver(body(257)))).toBe(tooDeep)
      expect(runs).toEqual([])
    }
  })

  it('that nests 100 000 levels deep is refused and breaks nothing', async () => {
    for (const [open, close] of [
      ['[', ']'],
      ['{"a":', '}'],
    ] as const) {
      expect(seen(await endpoint().deliver(nested(100_000, open, close)))).toBe(tooDeep)
    }
  })

  it('may be wide: a hundred thousand fields beside each other', async () => {
    const wide = Object.fromEntries(Array.from({ length: 100_000 }, (_, at) => [`k${at}`, at]))
    const { deliver } = endpoint({ maxBodyBytes: 8 * 1024 * 1024 })
    expect(seen(await deliver(event({ data: { call_id: 'a', ...wide } })))).toBe('200 handled')
  })

  it('may hold numbers of any size, duplicate keys and names of properties', async () => {
    const { deliver, runs } = endpoint()
    const text = JSON.stringify(event({ data: '#' })).replace(
      '"#"',
      '{"call_id":"a","call_id":"b","n":1e400,"m":-1e-400,"k":12345678901234567890,"__proto__":{"admin":true},"constructor":1}',
    )
    expect(seen(await deliver(Buffer.from(text)))).toBe('200 handled')
    const data = runs[0]?.event.data as Record<string, unknown>
    expect(data).toMatchObject({ call_id: 'b', n: Number.POSITIVE_INFINITY, constructor: 1 })
    expect(data['admin']).toBeUndefined()
    expect({}).not.toHaveProperty('admin')
  })

  it('does not take its name, id or time from a prototype', async () => {
    const { id: _, ...rest } = event()
    const text = `{"__proto__":${JSON.stringify({ id: 'other' })},${JSON.stringify(rest).slice(1)}`
    const { deliver, runs } = endpoint()
    expect(seen(await deliver(Buffer.from(text)))).toBe('200 handled')
    expect(runs[0]?.event.id).toMatch(/^[0-9a-f]{64}$/)
    expect(seen(await deliver(Buffer.from('{"__proto__":{"event":"call.ringing"}}')))).toBe(
      '400 rejected RINGHOOK_EVENT_MISSING',
    )
  })

  it('is read as JSON.parse reads it, from a Buffer, a Uint8Array or a part of one', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 5 })), (value) => {
        const json = JSON.stringify(value)
        const bytes = Buffer.from(`xx${json}yy`)
        const part = new Uint8Array(bytes.buffer, bytes.byteOffset + 2, bytes.length - 4)
        expect(parseJsonObject(part)).toEqual(JSON.parse(json))
        expect(parseJsonObject(Buffer.from(json))).toEqual(JSON.parse(json))
      }),
      { numRuns: 100, seed: 5 },
    )
  })

  it('of any bytes is an object or refused with a code', () => {
    fc.assert(
      fc.property(fc.uint8Array(), (bytes) => {
        const result = parseJsonObject(bytes)
        expect(typeof result === 'string' ? result : 'object').toMatch(
          /^(object|RINGHOOK_BODY_NOT_(UTF8|JSON))$/,
        )
      }),
      { numRuns: 500, seed: 6 },
    )
  })
})
