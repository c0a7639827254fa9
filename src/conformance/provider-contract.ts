import assert from 'node:assert/strict'
import { signingKey } from '../core/authentication/signature.ts'
import type { WebhookEvent } from '../core/event/event.ts'
import type { ReceiverOptions } from '../core/options/options.ts'
import { createReceiver } from '../core/receiver.ts'
import type { JsonObject, Provider } from '../providers/provider.ts'
import { deliver } from '../testing/deliver.ts'
import { manualClock } from '../testing/manual-clock.ts'
import { type RequestOptions, requestFor, type SignedRequest } from '../testing/signed-request.ts'
import type { TestFunction } from './test-function.ts'

/** What {@link providerContract} needs. */
export interface ProviderContractOptions {
  readonly test: TestFunction
  readonly provider: Provider
  /** A secret in the provider's format. Default: plain text. */
  readonly secret?: string
  /** Returns the headers that a delivery needs beside its signature. Called for each one. Default: none. */
  headers?(unique: { readonly id: string; readonly timestamp: Date }): Record<string, string>
}

/**
 * Tests a provider against its own definition: every sample, under every name, is verified,
 * validated and handled once; forged, altered and outdated deliveries are rejected. The provider's
 * events need `samples`.
 *
 * @example
 * ```ts
 * import { krosai } from 'ringhook'
 * import { providerContract } from 'ringhook/conformance'
 * import { test } from 'vitest'
 *
 * providerContract({ test, provider: krosai })
 * ```
 */
export function providerContract({
  test,
  provider,
  secret = 'a secret for the contract',
  headers = () => ({}),
}: ProviderContractOptions): void {
  const samples = samplesOf(provider)
  let sent = 0

  function endpoint() {
    const clock = manualClock()
    const events: WebhookEvent[] = []
    const protection = provider.signature === false ? { allowUnsigned: true as const } : { secret }
    const on = { '*': (event: WebhookEvent) => void events.push(event) }
    const receiver = createReceiver<Provider>(provider, {
      ...protection,
      clock,
      on,
      logger: false,
    } as ReceiverOptions<Provider>)
    function request(sample: JsonObject, options: RequestOptions = {}): SignedRequest {
      const unique = {
        id: `contract_${sent++}`,
        timestamp: new Date(clock.now() - (options.ageMs ?? 0)),
      }
      const key = provider.signature === false ? undefined : signingKey(provider.signature, secret)
      return requestFor(provider, provider.renew(sample, unique), key, {
        ...options,
        clock,
        headers: headers(unique),
      })
    }
    return { receiver, events, request, clock }
  }

  for (const [name, sample] of samples) {
    test(`${provider.name}: the sample of ${name} is handled once, however often it is sent`, async () => {
      const { receiver, events, request } = endpoint()
      const delivery = request(sample)
      assert.deepEqual(await statusOf(deliver(receiver, delivery)), [200, 'handled'])
      assert.deepEqual(await statusOf(deliver(receiver, delivery)), [200, 'duplicate'])
      assert.equal(events.length, 1)
      assert.equal(events[0]?.sentAs, name)
      assert.equal(events[0]?.type, provider.canonicalNames.get(name))
    })
  }

  test(`${provider.name}: one sample sent with two ids is two events`, async () => {
    const { receiver, events, request } = endpoint()
    for (const [, sample] of samples) {
      assert.deepEqual(await statusOf(deliver(receiver, request(sample))), [200, 'handled'])
      assert.deepEqual(await statusOf(deliver(receiver, request(sample))), [200, 'handled'])
    }
    assert.equal(events.length, 2 * samples.length)
  })

  test(`${provider.name}: every name belongs to a defined event`, async () => {
    for (const [name, type] of provider.canonicalNames) {
      assert.ok(provider.events[type], `${name} stands for ${type}, which has no definition`)
    }
  })

  if (provider.signature !== false) {
    const { header } = provider.signature
    test(`${provider.name}: an unsigned, forged, altered or truncated delivery is rejected and runs no handler`, async () => {
      const { receiver, events, request } = endpoint()
      for (const [, sample] of samples) {
        const unsigned = request(sample)
        delete unsigned.headers[header]
        const bad = [
          unsigned,
          request(sample, { forge: true }),
          request(sample, { tamper: true }),
          request(sample, { truncate: true }),
        ]
        for (const delivery of bad) {
          assert.deepEqual(await statusOf(deliver(receiver, delivery)), [401, 'rejected'])
        }
      }
      assert.equal(events.length, 0)
    })
  }

  if (provider.signedTimestamp) {
    test(`${provider.name}: a delivery from another century is rejected and runs no handler`, async () => {
      const { receiver, events, request } = endpoint()
      const century = 100 * 365 * 24 * 60 * 60_000
      for (const [, sample] of samples) {
        for (const ageMs of [century, -century]) {
          assert.deepEqual(await statusOf(deliver(receiver, request(sample, { ageMs }))), [
            400,
            'rejected',
          ])
        }
      }
      assert.equal(events.length, 0)
    })
  }
}

function samplesOf(provider: Provider): readonly (readonly [string, JsonObject])[] {
  const samples = Object.values(provider.events).flatMap((event) =>
    Object.entries(event.samples ?? {}),
  )
  assert.ok(samples.length > 0, `${provider.name} is defined without samples`)
  return samples
}

async function statusOf(delivered: ReturnType<typeof deliver>): Promise<readonly [number, string]> {
  const { status, outcome } = await delivered
  return [status, outcome]
}
