import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'
import { type SignedBody, secret } from './deliveries.ts'

/**
 * What nobody can leave out who receives a signed delivery: createHmac, a comparison in constant
 * time, JSON.parse. Gives whether the delivery is genuine.
 */
export function newFloor(): (delivery: SignedBody) => boolean {
  const key = createSecretKey(Buffer.from(secret))
  const expected = Buffer.alloc(64)
  const presented = Buffer.alloc(64)
  return function takeByFloor({ body, signature }) {
    expected.write(createHmac('sha256', key).update(body).digest('hex'), 'latin1')
    presented.write(signature.slice(7), 'latin1')
    const isAuthentic = timingSafeEqual(expected, presented)
    const { event } = JSON.parse(body.toString()) as { readonly event: string }
    return isAuthentic && event === 'call.completed'
  }
}
