import type { RequestListener } from 'node:http'
import { text } from 'node:stream/consumers'
import type { DeliveryRequest, Receiver, Reply } from 'ringhook'
import { adapterContract } from 'ringhook/conformance'
import { webhooks } from 'ringhook/express'
import { describe, expect, it } from 'vitest'
import { frameworks, listen } from '../helpers/frameworks.ts'

describe.each(frameworks)('webhooks() on $name', ({ serve }) => {
  adapterContract({ test: it, serve })
})

describe('adapterContract()', () => {
  it.each<[fault: string, rule: string, adapter: (receiver: Receiver) => RequestListener]>([
    [
      'decodes the body on its way',
      'verifies the raw bytes of invalid UTF-8, then rejects them',
      (receiver) => answering(receiver, async (request) => Buffer.from(await text(request))),
    ],
    [
      'writes the body anew from an object',
      'hands over the exact bytes of a body with the number 1.0',
      (receiver) =>
        answering(receiver, async (request) =>
          Buffer.from(JSON.stringify(JSON.parse(await text(request)))),
        ),
    ],
    [
      'breaks the connection off instead of answering',
      'answers 413 to a large upload in progress, and accepts the next delivery on the same connection, with a declared length',
      (receiver) => (request, response) => {
        request.once('data', () => request.destroy())
        void webhooks(receiver)(request, response)
      },
    ],
    [
      'drops the headers of the answer',
      'answers 503 and runs no handler while the store is down',
      (receiver) =>
        answering(receiver, undefined, ({ status, headers }) => ({
          status,
          headers: { 'content-type': headers['content-type'] ?? '' },
        })),
    ],
    [
      'answers 200 whatever became of the delivery',
      'answers 401 to a delivery with no signature',
      (receiver) => answering(receiver, undefined, ({ headers }) => ({ status: 200, headers })),
    ],
    [
      'cuts the query off',
      'reads a token from the query',
      (receiver) => (request, response) => {
        request.url = '/hooks'
        void webhooks(receiver)(request, response)
      },
    ],
    [
      'believes in forwarded addresses',
      'answers 403 to an address that is not allowed, whatever the headers say',
      (receiver) => {
        const believing: Receiver = {
          ...receiver,
          receive: (request: DeliveryRequest) => {
            const forwarded = request.headers['x-forwarded-for']
            return receiver.receive({ ...request, socket: { remoteAddress: String(forwarded) } })
          },
        }
        return webhooks(believing)
      },
    ],
    [
      'leaves an error uncaught',
      'answers 200 handled when the handler has finished, and 200 duplicate to a repeat',
      (receiver) => (request, response) => {
        void webhooks(receiver)(request, response)
        void Promise.reject(new Error('nobody looks'))
      },
    ],
  ])('fails an adapter that %s', async (_, rule, adapter) => {
    const rules = new Map<string, () => Promise<void>>()
    adapterContract({
      test: (name, run) => rules.set(name, run),
      serve: (receiver) => listen(adapter(receiver)),
    })
    await expect(rules.get(rule)?.()).rejects.toThrow()
  })

  it('names every rule differently', () => {
    const names: string[] = []
    adapterContract({ test: (name) => names.push(name), serve: () => expect.unreachable() })
    expect(new Set(names).size).toBe(names.length)
  })
})

/** An adapter with a fault in it: in how it reads the body, or in what it makes of the reply. */
function answering(
  receiver: Receiver,
  read: ((request: Parameters<RequestListener>[0]) => Promise<Uint8Array>) | undefined,
  change: (reply: Reply) => Pick<Reply, 'status' | 'headers'> = (reply) => reply,
): RequestListener {
  return async (message, response) => {
    const { method = '', url = '', headers, socket } = message
    const body = read === undefined ? message : await read(message)
    const reply = await receiver.receive({ method, url, headers, socket, body })
    const changed = change(reply)
    response.writeHead(changed.status, changed.headers)
    response.end(reply.body)
  }
}
