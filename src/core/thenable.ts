/** Whether a value has to be waited for. */
export function isThenable<Value>(
  value: Value | PromiseLike<Value>,
): value is PromiseLike<Value> & Promise<Value> {
  return typeof (value as PromiseLike<Value> | undefined | null)?.then === 'function'
}
