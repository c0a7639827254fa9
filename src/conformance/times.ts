/** Calls with 0, 1, 2 and so on, all at once, and returns the results in that order. */
export function times<Result>(
  count: number,
  call: (index: number) => Promise<Result> | Result,
): Promise<Result[]> {
  return Promise.all(Array.from({ length: count }, (_, index) => call(index)))
}
