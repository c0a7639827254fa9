import { pathToFileURL } from 'node:url'
import { createReceiver, type Provider, type SignatureScheme } from 'ringhook'
import { providerContract } from 'ringhook/conformance'
import { deliver, manualClock, signedRequest } from 'ringhook/testing'
import { afterAll, describe, expect, it } from 'vitest'
import { blockNamed, unpack } from '../docs/pages.ts'

const program = blockNamed('docs/providers/your-own.md', 'acme.ts')
const { pathOf, remove } = unpack('your-own', [program])
const { acme } = (await import(pathToFileURL(pathOf(program)).href)) as {
  acme: Provider<string, Provider['events'], SignatureScheme>
}

afterAll(remove)

// The example that the Standard Webhooks specification publishes.
const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'
const messageId = 'msg_p5jXN8AQM9LWM0D4loKWxJek'
const seconds = 1_614_265_330
const body = '{"test": 2432232314}'
const signature = 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE='

describe('defineProvider(), as docs/providers/your-own.md shows it', () => {
  it('signs the published example as it is published', () => {
    const request = signedRequest(acme, Buffer.from(body), { secret, headers: sentHeaders })
    expect(request.headers['webhook-signature']).toBe(signature)
    expect(request.body).toBe(body)
  })

  it('verifies the published example', async () => {
    expect(await codeFor({ 'webhook-signature': signature })).toBe(authentic)
  })

  it.each([
    ['behind another one', `v1,${'A'.repeat(43)}= ${signature}`],
    ['before another one', `${signature} v1,${'A'.repeat(43)}=`],
    ['among versions that are not known', `v1a,abc ${signature} v2,${'A'.repeat(43)}=`],
    ['as the last of 16', `${'v2,x '.repeat(15)}${signature}`],
  ])('takes a signature that stands %s', async (_where, header) => {
    expect(await codeFor({ 'webhook-signature': header })).toBe(authentic)
  })

  it.each([
    ['', 'no signature'],
    [signature.slice(3), 'no version'],
    [signature.replace('v1,', 'v1a,'), 'a version with other keys'],
    [signature.replace('v1,', 'v2,'), 'a version that does not exist'],
    [signature.replace('v1,', 'V1,'), 'a version in upper case'],
    [signature.slice(0, -1), 'base64 without its padding'],
    [signature.replace('+', '-'), 'base64 for URLs'],
    [signature.replace('v1,', 'v1,\u00e9'), 'more than ASCII'],
    [`${signature},${signature}`, 'another separator'],
    [`${'v2,x '.repeat(16)}${signature}`, 'the right one as the 17th'],
  ])('refuses the signature "%s": %s', async (header) => {
    expect(await codeFor({ 'webhook-signature': header })).toBe('RINGHOOK_NOT_AUTHENTIC')
  })

  it.each([
    ['webhook-id', undefined],
    ['webhook-id', ''],
    ['webhook-id', 'msg_else'],
    ['webhook-timestamp', undefined],
    ['webhook-timestamp', ''],
    ['webhook-timestamp', `0${seconds}`],
    ['webhook-timestamp', `+${seconds}`],
    ['webhook-timestamp', `${seconds}.0`],
    ['webhook-timestamp', ` ${seconds}`],
    ['webhook-timestamp', '1.61426533e9'],
    ['webhook-timestamp', `0x${seconds.toString(16)}`],
    ['webhook-timestamp', `${seconds + 1}`],
    ['webhook-timestamp', '99999999999999999999'],
    ['webhook-timestamp', 'NaN'],
  ])('refuses a %s of %j', async (name, value) => {
    const headers = { 'webhook-signature': signature, [name]: value }
    expect(await codeFor(headers)).toBe('RINGHOOK_NOT_AUTHENTIC')
  })

  it('refuses a body that was changed', async () => {
    const changed = body.replace('4', '5')
    expect(await codeFor({ 'webhook-signature': signature }, changed)).toBe(
      'RINGHOOK_NOT_AUTHENTIC',
    )
  })

  it.each([
    ['not base64', 'whsec_this is no base64'],
    ['base64 for URLs', `whsec_${'-_'.repeat(16)}`],
    ['base64 without its padding', `whsec_${Buffer.alloc(25).toString('base64').replace('=', '')}`],
    ['too short', `whsec_${Buffer.alloc(23).toString('base64')}`],
    ['too long', `whsec_${Buffer.alloc(65).toString('base64')}`],
    ['a prefix and nothing more', 'whsec_'],
  ])('refuses a secret that is %s', (_why, wrong) => {
    expect(() => createReceiver(acme, { secret: wrong })).toThrow(
      expect.objectContaining({ code: 'RINGHOOK_SECRET_INVALID' }),
    )
  })

  it('takes the id and the time of an event from the signed headers', async () => {
    const event = {
      type: 'invoice.voided',
      timestamp: '1999-12-31T00:00:00Z',
      data: { invoice_id: 'i' },
    }
    const seen: unknown[] = []
    const receiver = createReceiver(acme, {
      secret,
      clock: manualClock(1_000 * seconds),
      on: {
        '*': ({ id, timestamp }) => seen.push([id, timestamp]),
      },
    })
    const bytes = Buffer.from(JSON.stringify({ ...event, id: 'another' }))
    const { outcome } = await deliver(
      receiver,
      signedRequest(acme, bytes, { secret, headers: sentHeaders }),
    )
    expect(outcome).toBe('handled')
    expect(seen).toEqual([[messageId, new Date(1_000 * seconds)]])
  })

  providerContract({
    test: it,
    provider: acme,
    secret,
    headers: (unique) => ({
      'webhook-id': unique.id,
      'webhook-timestamp': String(Math.floor(unique.timestamp.getTime() / 1_000)),
    }),
  })
})

const sentHeaders = { 'webhook-id': messageId, 'webhook-timestamp': String(seconds) }

/** The example's body names no event. That this is what is wrong with it says that it is authentic. */
const authentic = 'RINGHOOK_EVENT_MISSING'

/** The code that answers the example with other headers: `undefined` leaves one out. */
async function codeFor(
  headers: Readonly<Record<string, string | undefined>>,
  text = body,
): Promise<string | undefined> {
  const receiver = createReceiver(acme, {
    secret,
    clock: manualClock(1_000 * seconds),
    logger: false,
  })
  const entries = Object.entries({ ...sentHeaders, ...headers })
  const present = entries.filter((entry): entry is [string, string] => entry[1] !== undefined)
  const rawBody = Buffer.from(text)
  const request = {
    method: 'POST' as const,
    headers: Object.fromEntries(present),
    body: text,
    rawBody,
  }
  return (await deliver(receiver, request)).body.code
}
