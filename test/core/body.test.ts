import { Readable } from 'node:stream'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { bodyReader, refuseBody } from '../../src/core/request/body.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { endpoint, event, post, seen, sign, start } from '../helpers/endpoint.ts'

const tooLarge = '413 rejected RINGHOOK_BODY_TOO_LARGE'
const aborted = '400 rejected RINGHOOK_BODY_ABORTED'
const timedOut = '408 rejected RINGHOOK_BODY_TIMEOUT'

/** A stream of the given pieces, which ends, or hangs, or breaks after them. */
function stream(pieces: readonly Uint8Array[], then: 'end' | 'hang' | 'break' = 'end'): Readable {
  const left = [...pieces]
  return new Readable({
    read() {
      const piece = left.shift()
      if (piece !== undefined) this.push(piece)
      else if (then === 'end') this.push(null)
      else if (then === 'break') this.destroy(new Error('ECONNRESET'))
    },
  })
}

function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const pieces: Uint8Array[] = []
  let from = 0
  for (const length of lengths) {
    if (from >= bytes.length) break
    pieces.push(bytes.subarray(from, from + length))
    from += length
  }
  if (from < bytes.length) pieces.push(bytes.subarray(from))
  return pieces
}

const readBody = (maxBodyBytes: number) =>
  bodyReader(manualClock(start), { maxBodyBytes, bodyTimeoutMs: 1_000 })

describe('bodyReader', () => {
  it('gives the same bytes, however they are cut into pieces', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ maxLength: 200 }),
        fc.array(fc.integer({ min: 1, max: 60 })),
        fc.boolean(),
        async (bytes, lengths, isDeclared) => {
          const headers = isDeclared ? { 'content-length': String(bytes.length) } : {}
          const body = stream(cut(bytes, lengths))
          const read = await readBody(200)({ method: 'POST', url: '', headers, body }, start)
          expect(Buffer.compare(read as Uint8Array, bytes)).toBe(0)
        },
      ),
      { numRuns: 100, seed: 18 },
    )
  })

  it('refuses a byte more than the limit, declared or not, in one piece or many', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 100 }),
        fc.array(fc.integer({ min: 1, max: 60 })),
        async (limit, lengths) => {
          const bytes = new Uint8Array(limit + 1)
          for (const body of [
            bytes,
            stream(cut(bytes, lengths)),
            stream(cut(bytes, lengths), 'hang'),
          ]) {
            const read = await readBody(limit)(
              { method: 'POST', url: '', headers: {}, body },
              start,
            )
            expect(read).toBe('RINGHOOK_BODY_TOO_LARGE')
          }
          const fitting = stream(cut(bytes.subarray(1), lengths))
          const read = await readBody(limit)(
            { method: 'POST', url: '', headers: {}, body: fitting },
            start,
          )
          expect(read).toHaveLength(limit)
        },
      ),
      { numRuns: 50, seed: 19 },
    )
  })

  it('refuses a body that is shorter or longer than was declared', async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: 50 }), fc.nat({ max: 50 }), async (declared, sent) => {
        const headers = { 'content-length': String(declared) }
        const body = stream([new Uint8Array(sent)])
        const read = await readBody(100)({ method: 'POST', url: '', headers, body }, start)
        if (declared === sent) expect(read).toHaveLength(sent)
        else expect(read).toBe('RINGHOOK_BODY_ABORTED')
      }),
      { numRuns: 50, seed: 20 },
    )
  })

  it.each([true, false])(
    'refuses what was decoded or read before, with its length declared: %s',
    async (isDeclared) => {
      const bytes = Buffer.from('{"a":"ü"}')
      const headers = isDeclared ? { 'content-length': String(bytes.length) } : {}
      const decoded = stream([bytes]).setEncoding('utf8')
      // As a request of Node's, which is not destroyed when it ends.
      const read = new Readable({ autoDestroy: false, read() {} })
      read.push(bytes)
      read.push(null)
      read.resume()
      await new Promise((resolve) => read.once('end', resolve))
      for (const body of [decoded, read]) {
        const code = await readBody(200)({ method: 'POST', url: '', headers, body }, start)
        expect(code).toBe('RINGHOOK_BODY_ALREADY_READ')
      }
    },
  )

  it('leaves nothing that fails when the connection breaks behind a body that was read', async () => {
    const bytes = Buffer.from('{}')
    const body = stream([bytes])
    const headers = { 'content-length': '2' }
    const read = await readBody(200)({ method: 'POST', url: '', headers, body }, start)
    expect(read).toEqual(bytes)
    expect(() => body.emit('error', new Error('ECONNRESET'))).not.toThrow()
  })

  it('refuses by the declared length before it reads a byte', () => {
    for (const length of ['101', '1e9', '0x65', 'Infinity', ' 101 ']) {
      expect(refuseBody({ 'content-length': length }, 100)).toBe('RINGHOOK_BODY_TOO_LARGE')
    }
    for (const length of [undefined, '', '0', '100', '-5', 'many']) {
      expect(refuseBody({ 'content-length': length }, 100)).toBeUndefined()
    }
  })
})

describe('receiver.receive(), with a stream', () => {
  const bytes = Buffer.from(JSON.stringify(event({ id: 'ünïcödé 💥' })))
  const headers = { 'x-webhook-signature': sign(bytes), 'content-length': String(bytes.length) }

  it('is handled on the bytes that arrived, also where a character is cut in two', async () => {
    const { receiver, runs } = endpoint()
    const body = stream(cut(bytes, new Array(bytes.length).fill(1)))
    expect(seen(await receiver.receive(post(bytes, { headers, body })))).toBe('200 handled')
    expect(runs[0]?.event.id).toBe('ünïcödé 💥')
    expect(Buffer.compare(runs[0]?.context.rawBody ?? Buffer.alloc(0), bytes)).toBe(0)
  })

  it.each([
    ['breaks off', () => stream([bytes.subarray(0, 10)], 'break'), aborted],
    ['ends early', () => stream([bytes.subarray(0, 10)]), aborted],
    ['goes on for too long', () => stream([bytes, bytes]), aborted],
    ['was destroyed', () => stream([]).destroy(), aborted],
    [
      'had an encoding set',
      () => stream([bytes]).setEncoding('utf8'),
      '500 rejected RINGHOOK_BODY_ALREADY_READ',
    ],
  ])('and %s is answered %3$s', async (_, make, answer) => {
    const { receiver, runs, outcomes } = endpoint()
    expect(seen(await receiver.receive(post(bytes, { headers, body: make() })))).toBe(answer)
    expect(runs).toEqual([])
    expect(outcomes).toHaveLength(1)
  })

  it('and is longer than maxBodyBytes is answered 413', async () => {
    const { receiver } = endpoint({ maxBodyBytes: bytes.length - 1 })
    const undeclared = { ...headers, 'content-length': undefined }
    expect(
      seen(await receiver.receive(post(bytes, { headers: undeclared, body: stream([bytes]) }))),
    ).toBe(tooLarge)
  })

  it.each([
    ['bodyTimeoutMs', { bodyTimeoutMs: 3_000 }, 3_000],
    ['ackDeadlineMs', { ackDeadlineMs: 2_000 }, 2_000],
  ])('and stalls is answered 408 after %s', async (_, options, dueMs) => {
    const { receiver, clock, outcomes, store } = endpoint(options)
    const reply = receiver.receive(
      post(bytes, { headers, body: stream([bytes.subarray(0, 10)], 'hang') }),
    )
    await clock.advance(dueMs - 1)
    expect(outcomes).toEqual([])
    await clock.advance(1)
    expect(seen(await reply)).toBe(timedOut)
    expect(store.claim).not.toHaveBeenCalled()
    await receiver.idle()
  })

  it('and trickles in has no more time for it', async () => {
    const { receiver, clock } = endpoint()
    const body = new Readable({ read() {} })
    const reply = receiver.receive(post(bytes, { headers, body }))
    for (let at = 0; at < 10; at++) {
      body.push(bytes.subarray(at, at + 1))
      await clock.advance(1_000)
    }
    expect(seen(await reply)).toBe(timedOut)
  })

  it('is not read before its sender was let in', async () => {
    const { receiver } = endpoint({ allowedIps: ['192.0.2.1'] })
    const body = stream([bytes])
    const read = vi.spyOn(body, 'read')
    const reply = receiver.receive(
      post(bytes, { headers, body, socket: { remoteAddress: '192.0.2.2' } }),
    )
    expect(read).not.toHaveBeenCalled()
    expect(seen(await reply)).toBe('403 rejected RINGHOOK_IP_NOT_ALLOWED')
  })
})

describe('RINGHOOK_BODY_ALREADY_READ', () => {
  it('is answered 500 at once, and the log names the two remedies', async () => {
    const { receiver, lines } = endpoint()
    const reply = await receiver.receive({ ...post(event()), body: undefined })
    expect(seen(reply)).toBe('500 rejected RINGHOOK_BODY_ALREADY_READ')
    expect(lines).toEqual([
      expect.stringMatching(
        /^error .*mount ringhook before the parser.*, or, on Express, .*rawBody/,
      ),
    ])
  })
})
