import type { IncomingMessage, ServerResponse } from 'node:http'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'
import { secret } from '../deliveries.ts'
import type { OnCall } from './by-hand.ts'

/** A handler for Node's server, as `createNodeMiddleware` of @octokit/webhooks gives it. */
export type NodeHandler = (request: IncomingMessage, response: ServerResponse) => unknown

interface Octokit {
  readonly Webhooks: new (options: {
    readonly secret: string
  }) => { on(name: string, handler: () => Promise<void>): void }
  createNodeMiddleware(webhooks: object, options: { readonly path: string }): NodeHandler
}

/** Loads it from the peers' own package. The server is started in the root of the repository. */
export function octokitMiddleware(onCall: OnCall): NodeHandler {
  const load = createRequire(resolve('bench/peers/package.json'))
  const { Webhooks, createNodeMiddleware } = load('@octokit/webhooks') as Octokit
  const webhooks = new Webhooks({ secret })
  webhooks.on('push', () => onCall('push'))
  return createNodeMiddleware(webhooks, { path: '/hooks' })
}
