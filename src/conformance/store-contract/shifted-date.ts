/**
 * Sets this process's `Date` ahead by `ms`, as on a machine with a wrong clock. Returns a function
 * that restores it.
 */
export function shiftDate(ms: number): () => void {
  const right = globalThis.Date
  const now = () => right.now() + ms
  globalThis.Date = new Proxy(right, {
    get: (target, name) => (name === 'now' ? now : Reflect.get(target, name)),
    apply: () => new right(now()).toString(),
    construct: (target, parts, made) =>
      Reflect.construct(target, parts.length === 0 ? [now()] : parts, made),
  })
  return () => {
    globalThis.Date = right
  }
}
