/** Whether a value has to be awaited. */
export function isThenable<Value>(
  value: Value | PromiseLike<Value>,
): value is PromiseLike<Value> & Promise<Value> {
  return typeof (value as PromiseLike<Value> | undefined | null)?.then === 'function'
}

/**
 * Continues with a value that is there now or arrives later. Nothing waits for a turn of the event
 * loop if the value is there: a delivery whose body, keys and store are at hand is answered at once.
 */
export function andThen<Value, Result>(
  value: Value | Promise<Value>,
  next: (value: Value) => Result | Promise<Result>,
): Result | Promise<Result> {
  return isThenable(value) ? value.then(next) : next(value)
}
