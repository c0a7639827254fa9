/** One instance of an application under test. Started by workers.ts, and killed without a word. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { createReceiver } from 'ringhook'
import { webhooks } from 'ringhook/express'
import { backendOf } from './backends/backend.ts'
import {
  ackDeadlineMs,
  leaseMs,
  provider,
  retentionMs,
  secret,
  type WorkerSettings,
} from './endpoint.ts'
import { Handlers } from './handlers.ts'
import { journaled } from './journaled-store.ts'
import { planted } from './mutants.ts'
import { observed } from './observed-receiver.ts'
import { listen, sayReady, settingsOfThis, takeOrders } from './worker-process.ts'

const settings = settingsOfThis<WorkerSettings>()
const { worker, slot, name, url, storeUrl } = settings
const backend = await backendOf(settings.store)
const journal = await backend.openJournal({ url, name })
const { store, close } = await backend.openStore({ url: storeUrl, name }, slot)
const deliveries = new AsyncLocalStorage<string>()
const handlers = new Handlers(worker, journal)

const receiver = createReceiver(provider, {
  secret,
  store: journaled(planted(settings.mutant, store, journal), journal, {
    worker,
    delivery: () => deliveries.getStore(),
  }),
  leaseMs,
  ackDeadlineMs,
  retentionMs,
  logger: false,
  on: { work: (event, context) => handlers.run(event, context) },
})

takeOrders((order) => handlers.obey(order), end)
const server = await listen(webhooks(observed(receiver, { journal, worker, deliveries })))
sayReady(server)

// As every instance does when it starts, together with the others, and over the same network.
store.migrate().catch(() => {})

async function end(): Promise<void> {
  await receiver.close({ drainMs: 10_000 })
  server.close()
  server.closeAllConnections()
  await close()
  await journal.close()
}
