/** Whether something is a Pool of `pg`, or looks like one: its queries may go to any connection. */
export function isPgPool(value: unknown): boolean {
  return typeof value === 'object' && value !== null && 'totalCount' in value && 'connect' in value
}

/** Whether a Client of `pg` reports that it is in no transaction. Older versions can't tell. */
export function isIdle(client: unknown): boolean {
  return transactionStatusOf(client) === 'I'
}

/** Whether a Client of `pg` reports an open transaction, or one that has failed. */
export function isInTransaction(client: unknown): boolean {
  return ['T', 'E'].includes(String(transactionStatusOf(client)))
}

function transactionStatusOf(client: unknown): unknown {
  const { getTransactionStatus } = client as { readonly getTransactionStatus?: unknown }
  return typeof getTransactionStatus === 'function' ? getTransactionStatus.call(client) : undefined
}
