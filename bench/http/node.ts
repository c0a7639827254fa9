import type { IncomingMessage } from 'node:http'
import { krosaiWebhooks } from '../../src/express.ts'
import { secret } from '../deliveries.ts'
import { handleByHand, type OnCall } from './by-hand.ts'
import { type NodeHandler, octokitMiddleware } from './octokit.ts'

export function bare(): NodeHandler {
  return async (request, response) => {
    await collected(request)
    response.end('OK')
  }
}

export function byHand(onCall: OnCall): NodeHandler {
  const handle = handleByHand(onCall)
  return async (request, response) => {
    const body = await collected(request)
    response.statusCode = await handle(body, request.headers['x-webhook-signature'])
    response.end('OK')
  }
}

export function octokit(onCall: OnCall): NodeHandler {
  return octokitMiddleware(onCall)
}

/** The handler for Express is one for Node's own server. */
export function ringhook(onCall: OnCall): NodeHandler {
  return krosaiWebhooks({
    secret,
    logger: false,
    on: { 'call.completed': (event) => onCall(event.data.call_id) },
  })
}

function collected(request: IncomingMessage): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => resolve(Buffer.concat(chunks)))
    request.on('error', reject)
  })
}
