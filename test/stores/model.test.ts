import { type HeldClaim, type IdempotencyStore, memoryStore } from 'ringhook'
import { afterAll, describe, expect, it } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { disagreement } from './store-model.ts'
import {
  memorySubject,
  mysqlSubject,
  postgresSubject,
  redisSubject,
  type Subject,
  sqliteSubject,
} from './subjects.ts'

describe('memoryStore', () => agrees(memorySubject(), 500))
describe('sqliteStore', () => agrees(sqliteSubject(), 200))
describeOn('redis', 'redisStore', (url) => agrees(redisSubject(url), 50))
describeOn('postgres', 'postgresStore', (url) => agrees(postgresSubject(url), 50))
describeOn('mysql', 'mysqlStore', (url) => agrees(mysqlSubject(url), 50))

function agrees(subject: Subject, runs: number): void {
  afterAll(() => subject.close())

  it('agrees with the model, whatever is done to it', { timeout: 120_000 }, async () => {
    expect(await disagreement(subject, runs)).toBeUndefined()
  })
}

describe('the model', () => {
  it.each<[string, (store: IdempotencyStore, holders: Holders) => Partial<IdempotencyStore>]>([
    [
      'that ignores leases',
      (store) => ({ claim: (key, options) => store.claim(key, { ...options, leaseMs: 1 }) }),
    ],
    [
      'that ignores fences',
      (store, holders) => ({
        complete: (claim, options) =>
          store.complete({ ...claim, fence: holders.get(claim.key)?.fence ?? 0 }, options),
      }),
    ],
    [
      'that ignores owners',
      (store, holders) => ({
        complete: (claim, options) =>
          store.complete({ ...claim, owner: holders.get(claim.key)?.owner ?? '' }, options),
      }),
    ],
    [
      'that releases unconditionally',
      (store, holders) => ({ release: (claim) => store.release(holders.get(claim.key) ?? claim) }),
    ],
    [
      'that extends unconditionally',
      (store, holders) => ({
        extend: (claim, options) => store.extend(holders.get(claim.key) ?? claim, options),
      }),
    ],
    [
      'that forgets unconditionally',
      (store, holders) => ({
        forget: async (key) => {
          const holder = holders.get(key)
          const isReleased = holder !== undefined && (await store.release(holder))
          return isReleased ? 'forgotten' : await store.forget(key)
        },
      }),
    ],
    [
      'that takes a lease that ran out for one that is held',
      (store, holders) => ({
        status: async (key) => {
          const status = await store.status(key)
          return status === 'unknown' && holders.has(key) ? 'in_flight' : status
        },
      }),
    ],
    [
      'that remembers the fingerprint of the last delivery, and not of the one that finished',
      (store) => ({
        claim: async (key, options) => {
          const claim = await store.claim(key, options)
          if (claim.state !== 'completed') return claim
          return { ...claim, fingerprint: options.fingerprint }
        },
      }),
    ],
    [
      'that says of a claim that was lost that it was completed',
      (store) => ({
        complete: async (claim, options) => {
          await store.complete(claim, options)
          return true
        },
      }),
    ],
    [
      'that completes for no longer than a day',
      (store) => ({ complete: (claim) => store.complete(claim, { retentionMs: 86_400_000 }) }),
    ],
    [
      'that takes nothing late',
      (store) => ({
        complete: async (claim, options) => {
          const rival = { owner: 'rival', leaseMs: 1, fingerprint: '' }
          const taken = await store.claim(claim.key, rival)
          if (taken.state === 'claimed') await store.release(taken)
          return await store.complete(claim, options)
        },
      }),
    ],
  ])('disagrees with a store %s', { timeout: 60_000 }, async (_mistake, mistake) => {
    const found = await disagreement({ create: ({ clock }) => mutant(clock, mistake) }, 1_000)
    expect(found).toMatch(/^seed \d+: .*claim/)
  })
})

type Holders = ReadonlyMap<string, HeldClaim>

/** A memory store with a mistake, which knows who holds what. */
function mutant(
  clock: NonNullable<Parameters<typeof memoryStore>[0]>['clock'] & object,
  mistake: (store: IdempotencyStore, holders: Holders) => Partial<IdempotencyStore>,
): IdempotencyStore {
  const store = memoryStore({ clock })
  const holders = new Map<string, HeldClaim>()
  const watched: IdempotencyStore = {
    async claim(key, options) {
      const claim = await store.claim(key, options)
      if (claim.state === 'claimed') holders.set(key, claim)
      return claim
    },
    extend: (claim, options) => store.extend(claim, options),
    complete: (claim, options) => store.complete(claim, options),
    release: (claim) => store.release(claim),
    forget: (key) => store.forget(key),
    status: (key) => store.status(key),
  }
  return { ...watched, ...mistake(watched, holders) }
}
