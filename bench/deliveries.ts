import { createHmac } from 'node:crypto'
import type { DeliveryRequest } from '../src/index.ts'

/** The secret of every endpoint that is measured. */
export const secret = 'whsec_f3a91c6e5b7d4820'

/** How long each body is, in bytes: as long as the documented `call.completed`. */
const bodyBytes = 430

/** One delivery of a `call.completed`, signed. */
export interface SignedBody {
  readonly body: Buffer
  /** As it is written into the header. */
  readonly signature: string
}

/** Makes deliveries that are all different events. `series` keeps those of different calls apart. */
export function signedBodies(
  count: number,
  series: string,
  bytes = bodyBytes,
): readonly SignedBody[] {
  return Array.from({ length: count }, (_, index) => signedBody(`evt_${series}_${index}`, bytes))
}

function signedBody(id: string, bytes: number): SignedBody {
  const sample = {
    event: 'call.completed',
    id,
    timestamp: new Date().toISOString(),
    data: {
      call_id: id.replace('evt', 'call'),
      direction: 'inbound',
      from_number: '+14155551234',
      to_number: '+2348012345678',
      duration: 180,
      cost_cents: 12,
      hangup_cause: 'normal_clearing',
      recording_url: 'https://storage.krosai.com/recordings/a.mp3',
      transcript: '',
      metadata: { customer_id: 'cust_123' },
    },
  }
  const missing = bytes - JSON.stringify(sample).length
  if (missing < 0) throw new Error(`a body with the id ${id} is longer than ${bytes} bytes`)
  const words = 'Hello, how can I help you today? '
  sample.data.transcript = words.repeat(Math.ceil(missing / words.length)).slice(0, missing)
  const body = Buffer.from(JSON.stringify(sample))
  if (body.length !== bytes) throw new Error(`a body is ${body.length} bytes long`)
  const digest = createHmac('sha256', secret).update(body).digest('hex')
  return { body, signature: flat(`sha256=${digest}`) }
}

/**
 * Returns ASCII text as one string. V8 keeps a concatenation as a tree and flattens it on first use:
 * the first subject would pay for all, and headers from the wire are flat.
 */
export function flat(text: string): string {
  return Buffer.from(text, 'latin1').toString('latin1')
}

/** A delivery as an adapter gives it, with its bytes. */
export interface HeldDelivery extends DeliveryRequest {
  readonly headers: { readonly 'x-webhook-signature': string; readonly [name: string]: string }
  readonly body: Buffer
}

/** Gives deliveries with as many headers as a sender writes, in the form in which Node gives them. */
export function heldDeliveries(count: number, series: string): readonly HeldDelivery[] {
  return signedBodies(count, series).map(heldDelivery)
}

/** Gives one as an adapter would. */
export function heldDelivery({ body, signature }: SignedBody): HeldDelivery {
  return {
    method: 'POST',
    url: '/hooks',
    headers: {
      host: 'hooks.example.com',
      'user-agent': 'KrosAI-Webhooks/1.0',
      accept: '*/*',
      'accept-encoding': 'gzip, deflate',
      'content-type': 'application/json',
      'content-length': String(body.length),
      'x-webhook-signature': signature,
    },
    body,
  }
}
