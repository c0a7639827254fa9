/**
 * One process of an application with an inbox: it receives deliveries, or runs them, or both.
 * Started by ../workers.ts, and killed without a word.
 */
import { AsyncLocalStorage } from 'node:async_hooks'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { createReceiver, createWorker } from 'ringhook'
import { webhooks } from 'ringhook/express'
import { sqlite } from '../backends/sqlite.ts'
import { ackDeadlineMs, leaseMs, provider, retentionMs, secret } from '../endpoint.ts'
import { Handlers } from '../handlers.ts'
import { journaled } from '../journaled-store.ts'
import { observed } from '../observed-receiver.ts'
import { listen, sayReady, settingsOfThis, takeOrders } from '../worker-process.ts'
import { inboxBackendOf } from './backend.ts'
import { journaledInbox } from './journaled-inbox.ts'
import { plantedInbox } from './mutants.ts'
import { concurrency, endpoints, type InboxWorkerSettings, retry } from './settings.ts'

const settings = settingsOfThis<InboxWorkerSettings>()
const { worker, slot, role, mutant } = settings
const journal = await sqlite.openJournal(settings.journal)
const backend = await inboxBackendOf(settings.inbox)
const opened = await backend.open(settings.place, slot)
const deliveries = new AsyncLocalStorage<string>()
const handlers = new Handlers(worker, journal)
const delivery = () => deliveries.getStore()

// The fault is planted between the inbox and the journal, which sees what comes of it.
const inbox = journaledInbox(plantedInbox(mutant, opened.inbox), journal, {
  worker,
  delivery,
  survive: (key) => handlers.survive(key),
})
const store = journaled(opened.store, journal, { worker, delivery })
const patient = receiverFor(endpoints['/hooks'])
const hasty = receiverFor(endpoints['/hasty'])
const runner = createWorker({ inbox, receivers: [patient, hasty], concurrency })

takeOrders((order) => handlers.obey(order), end)
const server = role === 'worker' ? undefined : await listen(mount())
if (role !== 'web') await startWorking()
sayReady(server)

// As every instance does when it starts, together with the others, and over the same network.
opened.store.migrate().catch(() => {})
opened.inbox.migrate().catch(() => {})

function receiverFor({ namespace, maxHoldMs }: (typeof endpoints)[keyof typeof endpoints]) {
  return createReceiver(provider, {
    secret,
    store,
    inbox,
    namespace,
    ...(inbox.keepsOrder && { maxHoldMs }),
    retry,
    leaseMs,
    ackDeadlineMs,
    retentionMs,
    logger: false,
    on: { work: (event, context) => handlers.run(event, context) },
  })
}

function mount() {
  const observation = { journal, worker, deliveries }
  const toPatient = webhooks(observed(patient, observation))
  const toHasty = webhooks(observed(hasty, observation))
  return (request: IncomingMessage, response: ServerResponse) =>
    request.url === '/hasty' ? toHasty(request, response) : toPatient(request, response)
}

/** Starts the worker of the inbox, even if the database is away for a while. */
async function startWorking(): Promise<void> {
  for (;;) {
    try {
      await runner.start()
      return
    } catch {
      await pause(100)
    }
  }
}

async function end(): Promise<void> {
  await Promise.all([patient.close({ drainMs: 10_000 }), hasty.close({ drainMs: 10_000 })])
  server?.close()
  server?.closeAllConnections()
  await opened.close()
  await journal.close()
}
