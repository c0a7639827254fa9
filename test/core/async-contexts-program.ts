import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import Database from 'better-sqlite3'
import { answerRequests } from '../../src/conformance/child-process.ts'
import { webhooks } from '../../src/express.ts'
import { sqliteInbox } from '../../src/inboxes/sqlite.ts'
import { createReceiver, krosai, type ReceiverOptions } from '../../src/index.ts'
import { sqliteStore } from '../../src/stores/sqlite.ts'
import { signedRequest } from '../../src/testing.ts'
import type { AnyOptions } from '../helpers/endpoint.ts'

const secret = 'a secret that only the tests know'
const contexts = new AsyncLocalStorage<object>()
const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** Whether the context of the first request is collected, while the receiver goes on. */
async function firstContext(options: AnyOptions) {
  let first: WeakRef<object> | undefined
  const closed: Promise<unknown>[] = []
  const receiver = createReceiver(krosai, {
    secret,
    logger: false,
    on: { '*': () => {} },
    ...options,
  } as ReceiverOptions<typeof krosai>)
  if (options.inbox !== undefined) await receiver.start()
  const handler = webhooks(receiver)
  const server = createServer((request, response) => {
    // For this header Node sets a timer up to the next full second, which keeps the first context.
    response.sendDate = false
    closed.push(once(request.socket, 'close'))
    const context = { of: 'the first request' }
    first ??= new WeakRef(context)
    contexts.run(context, () => handler(request, response))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const send = async () => {
    const { method, headers, body } = signedRequest(krosai, 'call.completed', { secret })
    const response = await fetch(url, {
      method,
      body,
      headers: { ...headers, connection: 'close' },
    })
    await response.arrayBuffer()
    return response.status
  }
  const status = await send()
  for (let sent = 0; sent < 3; sent++) await send()
  // Nothing of Node's is left then that might keep the context for a while.
  await Promise.all(closed)
  let state = 'kept'
  for (let round = 0; round < 20 && state === 'kept'; round++) {
    await turn()
    globalThis.gc?.()
    if (first?.deref() === undefined) state = 'collected'
  }
  await receiver.close()
  server.close()
  return [String(status), state]
}

answerRequests(async () => {
  const database = new Database(':memory:')
  const [store, inbox] = [sqliteStore(database), sqliteInbox(database)]
  await store.migrate()
  await inbox.migrate()
  return {
    memory: await firstContext({}),
    'sqlite store': await firstContext({ store }),
    'sqlite inbox': await firstContext({ store, inbox }),
  }
})
