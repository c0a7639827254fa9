/** A test runner's `test`. Those of Vitest, Jest and `node:test` fit. */
export type TestFunction = (name: string, run: () => Promise<void>) => unknown
