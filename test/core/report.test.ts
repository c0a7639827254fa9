import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { krosai, PermanentFailure } from 'ringhook'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { LogThrottle, printable, safeLogger, whereThrown } from '../../src/core/log.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { build, endpoint, event, post, secret, seen, sign } from '../helpers/endpoint.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

const phone = '+14155550199'
const completed = {
  call_id: 'call_1',
  direction: 'inbound',
  from_number: phone,
  to_number: phone,
  duration: 1,
  cost_cents: 1,
}

describe('logger, line by line', () => {
  it.each([
    ['a line end', 'new\nline'],
    ['a carriage return', 'new\rline'],
    ['an escape sequence', '\u001b[31mred\u001b[0m'],
    ['a direction mark', 'a\u202eb\u2066c\u200fd'],
    ['a line separator', 'a\u2028b\u2029c'],
    ['a next-line mark', 'a\u0085b'],
    ['NUL and backspaces', 'a\0b\b\b\b'],
    ['a lone surrogate', 'a\ud800b'],
    ['a hundred thousand characters', 'x'.repeat(100_000)],
  ])(
    'is one short line of plain characters, whatever an event name or id holds: %s',
    async (_, text) => {
      const { deliver, lines } = endpoint({
        on: {
          'call.ringing': () => {
            throw new Error('no')
          },
        },
      })
      await deliver(event({ event: text }))
      await deliver(event({ id: text }))
      await deliver(event({ id: text, timestamp: '2020-01-01T00:00:00Z' }))
      await deliver(event({ id: text, data: { [text]: 1 } }))
      expect(lines).toHaveLength(4)
      for (const line of lines) {
        expect(line).toMatch(/^[\x20-\x7e…]*$/)
        expect(line.length).toBeLessThan(1_500)
      }
    },
  )

  it('never holds a secret, a signature, a payload, a phone number or, with logErrors: false, a message of the handler', async () => {
    const forged = sign('forged')
    const body = event({ event: 'call.completed', data: completed })
    const told: string[] = []
    for (const handle of [
      () => {
        throw new Error(`cannot call ${phone}`)
      },
      () => {
        throw new Error(`cannot\n    at ${phone} (${phone}:1:1)`)
      },
      () => {
        throw Object.assign(new Error('other'), { message: `cannot call ${phone}` })
      },
      () => {
        throw Object.assign(new Error(`x\n    at ${phone}`), { message: 'changed' })
      },
      () => {
        throw Object.assign(new Error('other'), { stack: `Error: y\n    at ${phone}` })
      },
      () => {
        throw new PermanentFailure(phone)
      },
      () => {
        throw new AggregateError([new Error(phone)], phone, { cause: new Error(phone) })
      },
      () => {
        throw phone
      },
      () => Promise.reject({ phone }),
      () => {
        throw Object.assign(new Error('other'), { name: phone, code: phone })
      },
      ...[
        `Error: other\n    at ${phone} (${phone})`,
        `Error: other\n    at cannot (/srv/${phone}.js:1:1)`,
        `Error: other\n    at Object.cannot (${process.cwd()}/${phone}.js:1:1)`,
        'Error: other\n    at cannot call_1 (file:///srv/call_1/cannot.js:1:1)',
        `Error: other\n    at /cannot/${phone}:1:1`,
        `Error: other\n    at node:${phone}:1:1`,
      ].map((stack) => () => {
        throw Object.assign(new Error('other'), { stack })
      }),
      () => {
        throw { [phone]: 1, toString: () => phone, message: phone, stack: `\n    at ${phone}` }
      },
      () => {
        const named = { [`cannot_${phone}`]: () => Promise.reject(new Error('other')) }
        return named[`cannot_${phone}`]?.()
      },
    ]) {
      const { deliver, lines, debugLines } = endpoint({ handle, logErrors: false })
      const replies = [
        await deliver(body),
        await deliver(body, {
          headers: { 'x-webhook-signature': forged },
          url: `/?token=${secret}`,
        }),
        await deliver(
          event({
            event: 'call.completed',
            id: 'b',
            data: { ...completed, direction: 5, [phone]: 1 },
          }),
        ),
        await deliver(event({ id: 'c', timestamp: '2020-01-01T00:00:00Z', data: completed })),
        await deliver(Buffer.from(`{"event":${phone}}`)),
      ]
      told.push(
        ...lines,
        ...debugLines,
        ...replies.map((reply) => `${JSON.stringify(reply.headers)}${reply.body}`),
      )
      expect(lines).toHaveLength(5)
    }
    for (const text of told) {
      for (const hush of [
        phone,
        '4155550199',
        secret,
        forged,
        sign(JSON.stringify(body)),
        'call_1',
        'cannot',
      ]) {
        expect(text).not.toContain(hush)
      }
    }
  })

  it.each([true, undefined])('says what a handler threw, and where (logErrors: %s)', async (on) => {
    const { deliver, lines } = endpoint({
      ...(on !== undefined && { logErrors: on }),
      handle: function saveCall() {
        throw new TypeError('no table calls', { cause: new Error('ECONNRESET') })
      },
    })
    await deliver()
    expect(lines).toEqual([
      expect.stringMatching(
        /^error ringhook krosai: call\.ringing evt_1 attempt 1 answered 500 failed: the handler threw \(TypeError: no table calls at saveCall \(.*report\.test\.ts:\d+:\d+\).*; cause: Error: ECONNRESET at .*\) \[RINGHOOK_HANDLER_FAILED, see /,
      ),
    ])
  })

  it.each([
    ['a text', 'no such call', 'a thrown string: no such call'],
    ['a number', 42, 'a thrown number: 42'],
    ['null', null, 'a thrown null'],
    ['an object with a message', { message: 'no row', code: 'P1' }, 'a thrown object: no row'],
    ['an object without', {}, 'a thrown object'],
    ['an error caused by a text', new Error('outer', { cause: 'inner' }), 'a thrown string: inner'],
    ['an error whose cause cannot be read', causeless(), 'Error: outer'],
  ])('says what a handler threw, if it is %s', async (_, thrown, said) => {
    const { deliver, lines } = endpoint({ handle: () => Promise.reject(thrown) })
    await deliver()
    expect(lines).toEqual([expect.stringContaining(said)])
    const quiet = endpoint({ logErrors: false, handle: () => Promise.reject(thrown) })
    await quiet.deliver()
    expect(quiet.lines.join()).not.toMatch(/no such call|42\)|no row|inner|outer/)
  })

  it('has a remedy for every code, with logErrors: false too', async () => {
    const { deliver, lines } = endpoint({
      logErrors: false,
      handle: () => Promise.reject(new PermanentFailure('gone')),
    })
    await deliver()
    await deliver(event({ event: '' }))
    expect(lines).toEqual([
      expect.stringMatching(/200 failed: the handler threw PermanentFailure, so .* \(Permanent/),
      expect.stringMatching(/400 rejected: the body is authentic, but names no event\. /),
    ])
  })

  it('says only where a handler failed with logErrors: false', async () => {
    const { deliver, lines } = endpoint({
      logErrors: false,
      handle: function saveCall() {
        throw new TypeError('no table calls')
      },
    })
    await deliver()
    expect(lines).toEqual([
      expect.stringMatching(
        /^error ringhook krosai: call\.ringing evt_1 attempt 1 answered 500 failed: the handler threw\. onOutcome is given the error with its message \(TypeError at .*report\.test\.ts:\d+.*\) \[RINGHOOK_HANDLER_FAILED, see /,
      ),
    ])
    expect(lines.join()).not.toContain('no table calls')
  })

  it.each([true, false])(
    'says what ringhook itself threw into a handler (logErrors: %s)',
    async (logErrors) => {
      for (const wrapped of [false, true]) {
        const { deliver, lines } = endpoint({
          logErrors,
          handle: async (_, { complete }) => {
            try {
              await complete({})
            } catch (cause) {
              throw wrapped ? new Error(`cannot call ${phone}`, { cause }) : cause
            }
          },
        })
        await deliver()
        expect(lines).toHaveLength(1)
        expect(lines[0]).toMatch(/memory.*RINGHOOK_STORE_NOT_TRANSACTIONAL/)
        expect(lines[0]?.includes(phone)).toBe(wrapped && logErrors)
      }
    },
  )

  it('is one line, however an error is made, and no longer than 5,000 characters', async () => {
    for (const error of [
      new Error('a\nringhook krosai: a forged line\r\u001b[31m\u202e\u2028\u0085\ud800'),
      new Error('x'.repeat(1_000_000)),
      Object.assign(new Error('a'), { stack: `Error: a\n${'    at b (c:1:1)\n'.repeat(100_000)}` }),
      Object.assign(new Error('a'), { name: 'x'.repeat(1_000_000) }),
      circular(),
      new AggregateError([new Error('the first\n')], ''),
      'a\ntext'.repeat(1_000),
    ]) {
      const { deliver, lines } = endpoint({ handle: () => Promise.reject(error) })
      await deliver()
      expect(lines).toHaveLength(1)
      expect(lines[0]).toMatch(/^[^\p{C}\p{Zl}\p{Zp}]{1,5000}$/u)
      expect(lines[0]).not.toMatch(/^ringhook/m)
    }
  })

  it('does not show what a schema, eventId or orderingKey threw, and does not blame the handler', async () => {
    const fail = (): never => {
      throw new Error(`cannot call ${phone}`)
    }
    for (const [options, cause] of [
      [{ eventId: fail }, /eventId failed \(Error at /],
      [
        { events: { 'call.ringing': { safeParse: fail } } },
        /the schema of the event threw \(Error at /,
      ],
      [{ eventId: () => 5 as never }, /eventId failed \(eventId must return a non-empty string/],
    ] as const) {
      const { deliver, lines } = endpoint(options)
      await deliver()
      expect(lines).toEqual([expect.stringMatching(cause)])
      expect(lines.join()).not.toMatch(/handler threw|4155550199/)
    }
  })

  it('is one line for a thousand forged requests, and a minute later how many were left out', async () => {
    const { deliver, lines, clock } = endpoint()
    const forge = () => deliver(event(), { headers: { 'x-webhook-signature': 'forged' } })
    for (let at = 0; at < 1_000; at++) await forge()
    expect(lines).toEqual([
      expect.stringMatching(
        /^warn ringhook krosai: a delivery answered 401 .*RINGHOOK_NOT_AUTHENTIC/,
      ),
    ])
    await clock.advance(59_999)
    await forge()
    expect(lines).toHaveLength(1)
    await clock.advance(1)
    await forge()
    expect(lines).toHaveLength(2)
    expect(lines[1]).toMatch(/ \(1000 more like it left out\)$/)
  })

  it('leaves out no failure of a handler, and lines of one kind do not push out those of another', async () => {
    const { deliver, lines } = endpoint({ handle: () => Promise.reject(new Error('no')) })
    for (let at = 0; at < 5; at++) await deliver()
    expect(lines).toHaveLength(5)
    await deliver(Buffer.from('{'))
    await deliver(event(), { headers: { 'x-webhook-signature': '' } })
    expect(lines).toHaveLength(7)
  })

  it('is nothing but a debug line for deliveries that went well', async () => {
    const { deliver, lines, debugLines } = endpoint()
    for (let at = 0; at < 3; at++) await deliver()
    expect(lines).toEqual([])
    expect(debugLines).toEqual([
      'ringhook krosai: call.ringing evt_1 attempt 1 answered 200 handled in 0 ms',
      'ringhook krosai: call.ringing evt_1 answered 200 duplicate in 0 ms',
      'ringhook krosai: call.ringing evt_1 answered 200 duplicate in 0 ms',
    ])
  })

  it('is a debug line for each delivery that is authentic, and for one a minute that is not', async () => {
    const { deliver, debugLines } = endpoint({ handle: () => Promise.reject(new Error('no')) })
    for (let at = 0; at < 3; at++) {
      await deliver(event(), { headers: { 'x-webhook-signature': 'forged' } })
      await deliver()
    }
    const failed =
      'ringhook krosai: call.ringing evt_1 attempt 1 answered 500 failed in 0 ms [RINGHOOK_HANDLER_FAILED]'
    expect(debugLines.filter((line) => line === failed)).toHaveLength(1)
    expect(debugLines).toHaveLength(4)
    expect(debugLines[0]).toBe(
      'ringhook krosai: a delivery answered 401 rejected in 0 ms [RINGHOOK_NOT_AUTHENTIC]',
    )
  })
})

describe('logger', () => {
  it('may throw or reject: no answer changes', async () => {
    const fail = () => {
      throw new Error('disk full')
    }
    const reject = () => Promise.reject(new Error('disk full'))
    const stray = vi.fn()
    process.on('unhandledRejection', stray)
    for (const method of [fail, reject]) {
      const logger = { debug: method, info: method, warn: method, error: method }
      const { deliver } = endpoint({ logger, onOutcome: fail, handle: fail })
      expect(seen(await deliver())).toBe('500 failed RINGHOOK_HANDLER_FAILED')
      expect(seen(await deliver(event({ event: 'new' })))).toBe(
        '500 failed RINGHOOK_HANDLER_FAILED',
      )
    }
    await new Promise((resolve) => setImmediate(resolve))
    process.off('unhandledRejection', stray)
    expect(stray).not.toHaveBeenCalled()
  })

  it('keeps its this: pino and winston need it', () => {
    class Lines {
      readonly kept: string[] = []
      debug(line: string) {
        this.kept.push(line)
      }
      info(line: string) {
        this.kept.push(line)
      }
      warn(line: string) {
        this.kept.push(line)
      }
      error(line: string) {
        this.kept.push(line)
      }
    }
    const target = new Lines()
    const logger = safeLogger(target)
    for (const level of ['debug', 'info', 'warn', 'error'] as const) logger[level](level)
    expect(target.kept).toEqual(['debug', 'info', 'warn', 'error'])
  })

  it('is the console for warnings and errors by default, and nothing when it is false', async () => {
    const spies = (['debug', 'info', 'log', 'warn', 'error'] as const).map((level) =>
      vi.spyOn(console, level).mockImplementation(() => {}),
    )
    const headers = { 'x-webhook-signature': 'forged' }
    await build(krosai, { secret, logger: false }).receive(post(event(), { headers }))
    expect(spies.flatMap(({ mock }) => mock.calls)).toEqual([])
    const on = { '*': () => {} }
    await build(krosai, { secret, on }).receive(post(event(), { headers }))
    expect(spies.map(({ mock }) => mock.calls.length)).toEqual([0, 0, 0, 1, 0])
  })
})

describe('logger.debug()', () => {
  it('are not put together for a logger that leaves them out', async () => {
    const debug = vi.fn()
    const isLevelEnabled = vi.fn(() => false)
    const logger = { debug, info() {}, warn() {}, error() {}, isLevelEnabled }
    const { deliver } = endpoint({ logger })
    await deliver()
    expect(debug).not.toHaveBeenCalled()
    isLevelEnabled.mockReturnValue(true)
    await deliver()
    expect(debug).toHaveBeenCalledOnce()
  })

  it.each([
    ['ringhook', 1],
    ['http,RINGHOOK', 1],
    ['ring*', 1],
    ['http', 0],
    ['', 0],
  ])('are printed with NODE_DEBUG=%s %i times', async (NODE_DEBUG, times) => {
    const program = `
      import { createReceiver, krosai } from './src/index.ts'
      import { deliver } from './src/testing.ts'
      const on = { 'call.completed': () => {} }
      const receiver = createReceiver(krosai, { secret: 'a secret for this test', on })
      await deliver(receiver, 'call.completed')`
    const { PATH = '' } = process.env
    const { stdout, stderr } = await promisify(execFile)(
      process.execPath,
      ['--import', 'tsx', '--input-type=module', '--eval', program],
      { env: { PATH, NODE_DEBUG }, cwd: fileURLToPath(new URL('../..', import.meta.url)) },
    )
    const line =
      /^RINGHOOK \d+: ringhook krosai: call\.completed \S+ attempt 1 answered 200 handled in \d+ ms$/gm
    expect(stdout).toBe('')
    expect(stderr.match(line) ?? []).toHaveLength(times)
    expect(stderr.includes('ringhook krosai')).toBe(times > 0)
  })
})

describe('printable', () => {
  it('is plain, at most 80 characters, and the same text where that is possible', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 200 }),
        fc.string({ maxLength: 80 }),
        (any, plain) => {
          expect(printable(any)).toMatch(/^[\x20-\x7e…]{0,80}$/)
          expect(printable(plain)).toBe(plain)
        },
      ),
      { numRuns: 200, seed: 16 },
    )
  })
})

describe('whereThrown', () => {
  it('returns a line for anything, and never throws', () => {
    fc.assert(
      fc.property(
        fc.anything({ withNullPrototype: true, withBigInt: true, withDate: true }),
        fc.anything(),
        (value, part) => {
          expect(typeof whereThrown(value)).toBe('string')
          expect(typeof whereThrown(Object.assign(new Error('a'), { stack: part }))).toBe('string')
          expect(
            typeof whereThrown(Object.assign(new Error('a'), { name: part, message: value })),
          ).toBe('string')
        },
      ),
      { numRuns: 300, seed: 17 },
    )
  })
})

describe('LogThrottle', () => {
  it('counts every topic for itself', async () => {
    const clock = manualClock(0)
    const throttle = new LogThrottle(clock)
    expect(['a', 'a', 'b'].map((topic) => throttle.admit(topic))).toEqual(['', undefined, ''])
    await clock.advance(60_000)
    expect(['a', 'b'].map((topic) => throttle.admit(topic))).toEqual([
      ' (1 more like it left out)',
      '',
    ])
  })
})

function causeless(): Error {
  return Object.defineProperty(new Error('outer'), 'cause', {
    get: () => {
      throw new Error('no cause')
    },
  })
}

function circular(): Error {
  const error = new Error('a circle')
  error.cause = error
  return error
}
