import type { Receiver } from '../core/receiver.ts'
import { answerRules } from './adapter-contract/answers.ts'
import { bodyRules } from './adapter-contract/bodies.ts'
import { concurrencyRules } from './adapter-contract/concurrency.ts'
import { type Rule, type ServedAdapter, withHarness } from './adapter-contract/harness.ts'
import { refusalRules } from './adapter-contract/refusals.ts'
import { shutdownRules } from './adapter-contract/shutdown.ts'
import { uploadRules } from './adapter-contract/uploads.ts'
import type { TestFunction } from './test-function.ts'

/** What {@link adapterContract} needs. */
export interface AdapterContractOptions {
  readonly test: TestFunction
  /**
   * Mounts a receiver on the adapter under test and listens on a free port of the loopback
   * interface. Requests of every method must reach the adapter at `url`, which has a path.
   */
  serve(receiver: Receiver): Promise<ServedAdapter>
}

/**
 * Tests an adapter against its contract over real connections: the exact bytes reach the handler,
 * every situation gets its complete answer, and no error is left unhandled, whatever the sender does.
 *
 * The tests must run one after another: each watches the process for uncaught errors.
 *
 * @example
 * ```ts
 * import { createServer } from 'node:http'
 * import { adapterContract } from 'ringhook/conformance'
 * import { webhooks } from 'ringhook/express'
 * import { test } from 'vitest'
 *
 * adapterContract({
 *   test,
 *   serve: async (receiver) => {
 *     const server = createServer(webhooks(receiver))
 *     const port = await new Promise((resolve) => {
 *       server.listen(0, '127.0.0.1', () => resolve(Object(server.address()).port))
 *     })
 *     return {
 *       url: `http://127.0.0.1:${port}/hooks`,
 *       close: () =>
 *         new Promise((resolve) => {
 *           server.close(() => resolve())
 *           server.closeAllConnections()
 *         }),
 *     }
 *   },
 * })
 * ```
 */
export function adapterContract({ test, serve }: AdapterContractOptions): void {
  const rule: Rule = (name, run) => test(name, () => withHarness(serve, run))
  bodyRules(rule)
  answerRules(rule)
  refusalRules(rule)
  uploadRules(rule)
  concurrencyRules(rule)
  shutdownRules(rule)
}
