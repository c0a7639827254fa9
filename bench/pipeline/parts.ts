import { isUtf8 } from 'node:buffer'
import { parseTimestamp } from '../../src/core/event/freshness.ts'
import { fingerprintOf, keyMaker } from '../../src/core/event/idempotency.ts'
import { krosai, memoryStore } from '../../src/index.ts'
import type { SignedBody } from '../deliveries.ts'
import type { Subject } from './peers.ts'

interface Read {
  readonly body: Buffer
  readonly id: string
  readonly timestamp: string
  readonly data: unknown
}

/** What the promise takes beyond the floor, part by part, each alone. */
export function promisedParts(): readonly Subject[] {
  const keyOf = keyMaker('krosai', '')
  const store = memoryStore({ logger: false })
  const { schema } = krosai.events['call.completed']
  const handler = async () => {}
  let owners = 0
  return [
    part('strict UTF-8', ({ body }) => isUtf8(body)),
    part('a timestamp with its zone', ({ timestamp }) => parseTimestamp(timestamp) !== undefined),
    part('zod, one schema', ({ data }) => schema.safeParse(data).success),
    part('the key', ({ id }) => keyOf(id) !== ''),
    part('the fingerprint of the body', ({ body }) => fingerprintOf(body) !== ''),
    part('an async handler, waited for', async () => {
      await handler()
      return true
    }),
    part('claim and completion, in memory', ({ id }) => {
      const owner = `3f0c8a52-95a5-4b0e-a0b6-0d8a3d1f7f10.${owners++}`
      const held = store.claim(id, { owner, leaseMs: 30_000, fingerprint: '1gk0z5' })
      if ('then' in held || held.state !== 'claimed') return false
      return store.complete(held, { retentionMs: 2_592_000_000 }) === true
    }),
  ]
}

/** Part of the names of all of them. */
export const partPrefix = 'promised: '

function part(name: string, take: (read: Read) => boolean | Promise<boolean>): Subject {
  return {
    name: `${partPrefix}${name}`,
    does: '',
    prepare: ({ body }: SignedBody) => ({ ...JSON.parse(body.toString()), body }),
    take: (read) => take(read as Read),
  }
}
