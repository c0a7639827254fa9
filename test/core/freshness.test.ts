import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { krosai, memoryStore, odis } from 'ringhook'
import { describe, expect, it } from 'vitest'
import { parseTimestamp } from '../../src/core/event/freshness.ts'
import { manualClock } from '../../src/testing/manual-clock.ts'
import { build, endpoint, event, post, secret, seen, start } from '../helpers/endpoint.ts'

const day = 24 * 60 * 60_000
const answers = {
  missing: '400 rejected RINGHOOK_TIMESTAMP_MISSING',
  invalid: '400 rejected RINGHOOK_TIMESTAMP_INVALID',
  old: '400 rejected RINGHOOK_TIMESTAMP_TOO_OLD',
  future: '400 rejected RINGHOOK_TIMESTAMP_IN_FUTURE',
  fine: '200 handled',
}

const at = (offsetMs: number) => new Date(start + offsetMs).toISOString()

describe('event.timestamp, of a delivery that waits for its secret', () => {
  it('is held against the time of its verification, and not of its arrival', async () => {
    const clock = manualClock(start)
    const { deliver } = endpoint({
      clock,
      retentionMs: day,
      secret: async () => {
        await clock.sleep(5_000)
        return secret
      },
    })
    const reply = deliver(event({ timestamp: at(1_000 - day) }))
    await clock.advance(5_000)
    expect(seen(await reply)).toBe(answers.old)
  })
})

describe('event.timestamp, signed', () => {
  it.each([
    ['missing', undefined, answers.missing],
    ['null', null, answers.missing],
    ['empty', '', answers.invalid],
    ['a number of seconds', start / 1_000, answers.invalid],
    ['a number of milliseconds', start, answers.invalid],
    ['digits', String(start), answers.invalid],
    ['an object', {}, answers.invalid],
    ['a list', [at(0)], answers.invalid],
    ['without a zone', '2026-03-01T12:00:00', answers.invalid],
    ['without a time', '2026-03-01', answers.invalid],
    ['with a blank for the T', '2026-03-01 12:00:00Z', answers.invalid],
    ['as mail headers have it', 'Sun, 01 Mar 2026 12:00:00 GMT', answers.invalid],
    ['with more behind it', `${at(0)}x`, answers.invalid],
    ['with a line end behind it', `${at(0)}\n`, answers.invalid],
    ['of a 13th month', '2026-13-01T12:00:00Z', answers.invalid],
    ['of the 30th of February', '2026-02-30T12:00:00Z', answers.invalid],
    ['of a 29th of February that there is', '2024-02-29T12:00:00Z', answers.old],
    ['of a 29th of February that there is not', '2026-02-29T12:00:00Z', answers.invalid],
    ['of a 31st of November', '2025-11-31T12:00:00Z', answers.invalid],
    ['of a 31st of December', '2025-12-31T12:00:00Z', answers.old],
    ['of a 24th hour', '2026-03-01T24:00:00Z', answers.invalid],
    ['of a 60th minute', '2026-03-01T12:60:00Z', answers.invalid],
    ['of a 61st second', '2026-03-01T12:00:61Z', answers.invalid],
    ['of no month', '2026-00-01T12:00:00Z', answers.invalid],
    ['of no day', '2026-03-00T12:00:00Z', answers.invalid],
    ['of a 32nd day', '2026-03-32T12:00:00Z', answers.invalid],
    ['of a 29th of February of a century', '2100-02-29T12:00:00Z', answers.invalid],
    ['in a zone without a colon', '2026-03-01T12:00:00+0000', answers.invalid],
    ['in a zone without minutes', '2026-03-01T12:00:00+00', answers.invalid],
    ['in a zone of 24 hours', '2026-03-01T12:00:00+24:00', answers.invalid],
    ['in a zone of 60 minutes', '2026-03-01T12:00:00+05:60', answers.invalid],
    ['in a zone behind Z', '2026-03-01T12:00:00Z+00:00', answers.invalid],
    ['in a zone with seconds', '2026-03-01T12:00:00+00:00:00', answers.invalid],
    ['in a zone by name', '2026-03-01T12:00:00 UTC', answers.invalid],
    ['in a zone with a minus sign of Unicode', '2026-03-01T12:00:00\u221200:00', answers.invalid],
    ['without seconds', '2026-03-01T12:00Z', answers.invalid],
    ['with a point and no fraction', '2026-03-01T12:00:00.Z', answers.invalid],
    ['with a comma', '2026-03-01T12:00:00,5Z', answers.invalid],
    ['with a blank before it', ' 2026-03-01T12:00:00Z', answers.invalid],
    ['with an underscore for the T', '2026-03-01_12:00:00Z', answers.invalid],
    ['without hyphens', '20260301T120000Z', answers.invalid],
    ['as a week', '2026-W09-7T12:00:00Z', answers.invalid],
    ['in lower case', '2026-03-01t12:00:00z', answers.fine],
    ['in lower case in part', '2026-03-01T12:00:00.5z', answers.fine],
    ['with one digit of a fraction', '2026-03-01T12:00:00.0Z', answers.fine],
    ['with ten digits of a fraction', '2026-03-01T12:00:00.0000000001Z', answers.fine],
    ['with 500 digits of a fraction', `2026-03-01T12:00:00.${'9'.repeat(500)}Z`, answers.fine],
    ['a leap second', '2026-03-01T11:59:60Z', answers.fine],
    ['a leap second with a fraction', '2026-03-01T11:59:60.999999z', answers.fine],
    ['a leap second in another zone', '2026-03-01T17:29:60+05:30', answers.fine],
    ['in a zone that is not known', '2026-03-01T12:00:00-00:00', answers.fine],
    ['in lower case with a zone', '2026-03-01t06:30:00-05:30', answers.fine],
    ['of a 25th hour', '2026-03-01T25:00:00Z', answers.invalid],
    ['in Arabic digits', at(0).replaceAll('0', '\u0660'), answers.invalid],
    ['a year in six digits', '+002026-03-01T12:00:00Z', answers.invalid],
    ['very long', `2026-03-01T12:00:00.${'0'.repeat(100_000)}Z`, answers.invalid],
    ['now', at(0), answers.fine],
    ['without a fraction', '2026-03-01T12:00:00Z', answers.fine],
    ['with nanoseconds', '2026-03-01T12:00:00.000000000Z', answers.fine],
    ['in another zone', '2026-03-01T17:30:00+05:30', answers.fine],
    ['30 days old', at(-30 * day), answers.fine],
    ['30 days and a millisecond old', at(-30 * day - 1), answers.old],
    ['of 1970', '1970-01-01T00:00:00Z', answers.old],
    ['five minutes ahead', at(5 * 60_000), answers.fine],
    ['five minutes and a millisecond ahead', at(5 * 60_000 + 1), answers.future],
    ['of the year 9999', '9999-12-31T23:59:59Z', answers.future],
  ])('that is %s is answered %3$s', async (_, timestamp, answer) => {
    const { deliver, runs } = endpoint()
    expect(seen(await deliver(event({ timestamp })))).toBe(answer)
    expect(runs).toHaveLength(answer === answers.fine ? 1 : 0)
  })

  it('may be as old as retentionMs and as far ahead as clockToleranceMs say', async () => {
    const { deliver, outcomes, lines } = endpoint({ retentionMs: 60_000, clockToleranceMs: 0 })
    expect(seen(await deliver(event({ timestamp: at(-60_000) })))).toBe(answers.fine)
    expect(seen(await deliver(event({ timestamp: at(-60_001) })))).toBe(answers.old)
    expect(seen(await deliver(event({ timestamp: at(1) })))).toBe(answers.future)
    expect(seen(await deliver(event({ timestamp: at(86_400_000) })))).toBe(answers.future)
    expect(outcomes.map(({ ageMs }) => ageMs)).toEqual([undefined, 60_001, -1, -86_400_000])
    expect(lines).toEqual([
      expect.stringMatching(/^warn .*\(age 60 s\)/),
      expect.stringMatching(
        /^warn .*Is the clock of this machine wrong \(1 ms ahead of this machine's clock\)/,
      ),
    ])
    const later = endpoint()
    await later.deliver(event({ timestamp: at(86_400_000) }))
    expect(later.lines).toEqual([
      expect.stringContaining("(86400 s ahead of this machine's clock)"),
    ])
  })

  it('is required of ODIS too, and seven days old at most', async () => {
    const clock = manualClock(start)
    const receiver = build(odis, { secret, clock, logger: false })
    const deliver = (timestamp: unknown) => {
      const request = post(event({ timestamp }))
      const signature = request.headers['x-webhook-signature']
      return receiver.receive({ ...request, headers: { 'x-odis-signature': signature } })
    }
    expect(seen(await deliver(undefined))).toBe(answers.missing)
    expect(seen(await deliver(at(-7 * day)))).toBe('200 ignored')
    expect(seen(await deliver(at(-7 * day - 1)))).toBe(answers.old)
  })

  it('keeps a signed body from running twice, whenever it is replayed and however slow the store is', async () => {
    const retentionMs = 60 * 60_000
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(0, 1, 5 * 60_000),
        fc.double({ min: -1, max: 1, noNaN: true }),
        fc.array(
          fc.oneof(
            fc.integer({ min: 0, max: 80 * 60_000 }),
            fc.constantFrom(-1, 0, 1).map((by) => `bound${by}`),
          ),
          { minLength: 1, maxLength: 4 },
        ),
        fc.constantFrom(0, 1, 9_999),
        async (clockToleranceMs, ahead, replays, storeMs) => {
          const clock = manualClock(start)
          const memory = memoryStore({ clock })
          let delayMs = 0
          const { deliver, runs } = endpoint({
            clock,
            retentionMs,
            clockToleranceMs,
            logger: false,
            store: {
              claim: (key, options) =>
                delayMs === 0
                  ? memory.claim(key, options)
                  : clock.sleep(delayMs).then(() => memory.claim(key, options)),
              extend: memory.extend.bind(memory),
              complete: memory.complete.bind(memory),
              release: memory.release.bind(memory),
              forget: memory.forget.bind(memory),
              status: memory.status.bind(memory),
            },
          })
          const aheadMs = Math.round(ahead < 0 ? ahead * retentionMs : ahead * clockToleranceMs)
          const body = Buffer.from(JSON.stringify(event({ timestamp: at(aheadMs) })))
          expect(seen(await deliver(body))).toBe(answers.fine)
          delayMs = storeMs
          const lastMs = aheadMs + retentionMs
          const times = replays.map((time) =>
            typeof time === 'string' ? lastMs + Number(time.slice(5)) : time,
          )
          for (const time of times.sort((a, b) => a - b)) {
            const fromNow = start + time - clock.now()
            if (fromNow < 0) continue
            await clock.advance(fromNow)
            const replay = deliver(body)
            await clock.advance(storeMs)
            expect(['200 duplicate', answers.old]).toContain(seen(await replay))
          }
          expect(runs).toHaveLength(1)
        },
      ),
      { numRuns: 60, seed: 7 },
    )
  })

  it('at the last moment at which it is accepted is still a duplicate', async () => {
    const { deliver, clock } = endpoint({ retentionMs: 60_000, clockToleranceMs: 1_000 })
    const body = event({ timestamp: at(1_000) })
    expect(seen(await deliver(body))).toBe(answers.fine)
    await clock.advance(61_000)
    expect(seen(await deliver(body))).toBe('200 duplicate')
    await clock.advance(1)
    expect(seen(await deliver(body))).toBe(answers.old)
  })
})

describe('parseTimestamp', () => {
  it('reads what a Date writes, and nothing that is no moment', () => {
    fc.assert(
      fc.property(
        fc.date({
          min: new Date(0),
          max: new Date('9999-12-31T23:59:59.999Z'),
          noInvalidDate: true,
        }),
        (date) => {
          expect(parseTimestamp(date.toISOString())).toEqual(date)
          expect(parseTimestamp(date)).toBe(date)
        },
      ),
      { numRuns: 100, seed: 8 },
    )
    expect(parseTimestamp(new Date(Number.NaN))).toBeUndefined()
    fc.assert(
      fc.property(fc.anything(), (value) => {
        const date = parseTimestamp(value)
        expect(date === undefined || !Number.isNaN(date.getTime())).toBe(true)
      }),
      { numRuns: 300, seed: 9 },
    )
  })
})

describe('parseTimestamp, compared with Date', () => {
  const digits = (count: number, max: number) =>
    fc.integer({ min: 0, max }).map((value) => String(value).padStart(count, '0'))
  const dates = fc.tuple(digits(4, 9_999), digits(2, 13), digits(2, 32))
  const times = fc.tuple(digits(2, 24), digits(2, 60), digits(2, 61))
  const fractions = fc.option(fc.stringMatching(/^\.[0-9]{1,30}$/), { nil: '' })
  const zones = fc.oneof(
    fc.constantFrom('Z', 'z', '-00:00'),
    fc
      .tuple(fc.constantFrom('+', '-'), digits(2, 24), digits(2, 60))
      .map(([sign, hours, minutes]) => `${sign}${hours}:${minutes}`),
  )
  const letters = fc.constantFrom('T', 't')

  it('reads the same moments, and refuses those that there are not', () => {
    let read = 0
    fc.assert(
      fc.property(dates, letters, times, fractions, zones, (date, letter, time, fraction, zone) => {
        const [year, month, dayOfMonth] = date.map(Number) as [number, number, number]
        const [hour, minute, second] = time.map(Number) as [number, number, number]
        const midnight = new Date(0)
        midnight.setUTCFullYear(year, month - 1, dayOfMonth)
        const isDay = midnight.getUTCMonth() === month - 1 && midnight.getUTCDate() === dayOfMonth
        const [hours = 0, minutes = 0] = zone.length > 1 ? zone.slice(1).split(':').map(Number) : []
        const isMoment =
          isDay && hour < 24 && minute < 60 && second < 61 && hours < 24 && minutes < 60
        const sent = `${date.join('-')}${letter}${time.join(':')}${fraction}${zone}`
        const parsed = parseTimestamp(sent)?.getTime()
        if (!isMoment) {
          expect(parsed).toBeUndefined()
          return
        }
        read++
        const leap = second === 60
        const clock = `${time[0]}:${time[1]}:${leap ? '59' : time[2]}`
        // V8 rounds some fractions of ten digits and more up.
        const known = Date.parse(
          `${date.join('-')}T${clock}${fraction.slice(0, 4)}${zone.toUpperCase()}`,
        )
        expect(parsed).toBe(leap ? known + 1_000 : known)
      }),
      { numRuns: 3_000, seed: 13 },
    )
    expect(read).toBeGreaterThan(1_500)
  })

  it('reads the usual form as it reads the same moment with an offset, whatever is changed in it', () => {
    const plain = fc
      .tuple(
        fc.constantFrom('0000', '0099', '0100', '1900', '2000', '2026', '2028', '9999'),
        fc.tuple(digits(2, 13), digits(2, 32), digits(2, 24), digits(2, 60), digits(2, 61)),
        fc.option(digits(3, 999), { nil: undefined }),
      )
      .map(([year, [month, dayOfMonth, hour, minute, second], ms]) => {
        const fraction = ms === undefined ? '' : `.${ms}`
        return `${year}-${month}-${dayOfMonth}T${hour}:${minute}:${second}${fraction}Z`
      })
    const changes = fc.array(
      fc.tuple(fc.nat(22), fc.constantFrom('0', '9', '/', ':', '-', '.', 't', 'Z', '\u0661', 'é')),
      { maxLength: 1 },
    )
    let read = 0
    fc.assert(
      fc.property(plain, changes, (text, changed) => {
        let sent = text
        for (const [place, character] of changed) {
          const index = place % (text.length - 1)
          sent = sent.slice(0, index) + character + sent.slice(index + 1)
        }
        const parsed = parseTimestamp(sent)
        expect(parsed).toEqual(parseTimestamp(`${sent.slice(0, -1)}+00:00`))
        if (parsed !== undefined) read++
      }),
      { numRuns: 3_000, seed: 22 },
    )
    expect(read).toBeGreaterThan(500)
  })

  it('reads a date of another realm', () => {
    const date: unknown = runInNewContext('new Date(1234)')
    expect(date).not.toBeInstanceOf(Date)
    expect(parseTimestamp(date)?.getTime()).toBe(1_234)
  })
})

describe('krosai', () => {
  it('remembers a finished event for longer than a signed body of it is accepted', async () => {
    const { deliver, store } = endpoint()
    await deliver()
    const { retentionMs = 0 } = krosai.defaults
    expect(store.complete).toHaveBeenCalledWith(expect.anything(), {
      retentionMs: retentionMs + 5 * 60_000 + 10_000,
    })
  })
})
