import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'
import { z } from 'zod'
import { secret } from '../deliveries.ts'

const key = createSecretKey(Buffer.from(secret))

const callCompleted = z.object({
  event: z.literal('call.completed'),
  id: z.string(),
  timestamp: z.iso.datetime(),
  data: z.looseObject({
    call_id: z.string(),
    direction: z.string(),
    from_number: z.string(),
    to_number: z.string(),
    duration: z.number(),
    cost_cents: z.number(),
    hangup_cause: z.string().nullish(),
    recording_url: z.string().nullish(),
    transcript: z.string().nullish(),
  }),
})

/** What the handlers of all subjects have in common: they count. */
export type OnCall = (callId: string) => Promise<void>

/**
 * The handler that a careful developer writes without ringhook: verified over the bytes, parsed,
 * validated, deduplicated. It has no lease, no deadline, no bound on what it remembers, and one
 * route. Gives the status to answer.
 */
export function handleByHand(
  onCall: OnCall,
): (body: Buffer, signature: string | string[] | undefined) => Promise<number> {
  const finished = new Set<string>()
  return async function handleDelivery(body, signature) {
    if (typeof signature !== 'string' || !/^sha256=[0-9a-f]{64}$/.test(signature)) return 401
    const expected = createHmac('sha256', key).update(body).digest()
    if (!timingSafeEqual(Buffer.from(signature.slice(7), 'hex'), expected)) return 401
    let json: unknown
    try {
      json = JSON.parse(body.toString())
    } catch {
      return 400
    }
    const event = callCompleted.safeParse(json)
    if (!event.success) return 422
    const { id, data } = event.data
    if (finished.has(id)) return 200
    try {
      await onCall(data.call_id)
    } catch {
      return 500
    }
    finished.add(id)
    return 200
  }
}
