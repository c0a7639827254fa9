import type { EntryFilter } from './inbox.ts'

/**
 * Whether a delivery fits the parts of a filter that are not about its state. One that cannot be
 * read fits only a filter without them.
 *
 * @param delivery - What the inbox found, whatever it is.
 */
export function fits(delivery: unknown, { type, since }: EntryFilter): boolean {
  if (type === undefined && since === undefined) return true
  const found = (delivery ?? {}) as { readonly type?: unknown; readonly receivedAt?: unknown }
  if (type !== undefined && found.type !== type) return false
  if (since === undefined) return true
  return typeof found.receivedAt === 'number' && found.receivedAt >= since.getTime()
}
