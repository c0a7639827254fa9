import { isRecord } from '../../core/checks.ts'
import { parseTimestamp } from '../../core/event/freshness.ts'
import { idText } from '../../core/event/idempotency.ts'
import { krosai } from '../../providers/krosai/krosai.ts'
import type { KrosaiDelivery } from './deliveries.ts'

/** The event in a delivery of KrosAI's history, as far as it shows it. */
export interface DeliveredEvent {
  readonly name: string
  readonly id: string | undefined
  /** In ms since 1970. */
  readonly timestamp: number | undefined
}

/**
 * Returns the event that a delivery carried, and its bytes. The page says that a delivery in full
 * includes its payload, and shows no field: `payload` is looked at, as an object or as JSON.
 */
export function eventIn(
  delivery: KrosaiDelivery,
): { readonly event: DeliveredEvent; readonly body: Uint8Array } | undefined {
  const { payload } = delivery
  const text = typeof payload === 'string' ? payload : JSON.stringify(payload)
  const parsed = parsedObject(text)
  if (parsed === undefined) return undefined
  const { event, id, timestamp } = krosai.read(parsed, {})
  if (typeof event !== 'string' || event === '') return undefined
  return {
    event: {
      name: event,
      id: idText(id),
      timestamp: timeOf(timestamp),
    },
    // Of an object the bytes are not those that were sent. That matters where they are the id.
    body: Buffer.from(text ?? ''),
  }
}

/** Returns a time from the API in ms since 1970, or `undefined` if it isn't one. */
export function timeOf(text: unknown): number | undefined {
  return parseTimestamp(text)?.getTime()
}

function parsedObject(text: string | undefined): Readonly<Record<string, unknown>> | undefined {
  try {
    const parsed: unknown = JSON.parse(text ?? '')
    return isRecord(parsed) ? parsed : undefined
  } catch {
    return undefined
  }
}
