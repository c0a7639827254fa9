/** One instance of an application under test. Started by crew.ts, and killed without a word. */
import { AsyncLocalStorage } from 'node:async_hooks'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { createReceiver, type HandlerContext, type Receiver } from 'ringhook'
import { webhooks } from 'ringhook/express'
import { backendOf } from './backends/backend.ts'
import {
  ackDeadlineMs,
  type Deed,
  deliveryHeader,
  type Listening,
  leaseMs,
  type Order,
  provider,
  retentionMs,
  secret,
  type WorkerSettings,
} from './endpoint.ts'
import type { Journal } from './journal.ts'
import { journaled } from './journaled-store.ts'
import { planted } from './mutants.ts'

// It must not outlive the run, whatever became of that.
process.on('disconnect', () => process.exit())
// Ctrl-C reaches every process of the terminal. When to end is for the run to say.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

/** Opens once and stays open. The order may come before the handler. */
interface Gate {
  /** Resolves with whether the handler is to fail. */
  readonly opened: Promise<boolean>
  open(fails: boolean): void
}

const settings: WorkerSettings = JSON.parse(process.argv[2] ?? '')
const { worker, slot, name, url, storeUrl } = settings
const backend = await backendOf(settings.store)
const journal = await backend.openJournal({ url, name })
const { store, close } = await backend.openStore({ url: storeUrl, name }, slot)
const deliveries = new AsyncLocalStorage<string>()
const gates = new Map<string, Gate>()
let runs = 0

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
  on: { work: (event, context) => run(event.id, event.data.deeds, context) },
})

// The adapter without its framework, which would be most of the time that a worker takes to start.
const server = createServer(webhooks(observed(receiver, journal)))
server.listen(0, '127.0.0.1', () => {
  const { port } = server.address() as AddressInfo
  process.send?.({ port } satisfies Listening)
})

process.on('message', (message: Order) => {
  if (message.order === 'open') gateOf(message.event).open(message.fails)
  else void end()
})

// As every instance does when it starts, together with the others, and over the same network.
store.migrate().catch(() => {})

/** The receiver, with a line in the journal before the first byte of every answer. */
function observed(inner: Receiver, into: Journal): Receiver {
  return {
    provider: inner.provider,
    idle: () => inner.idle(),
    close: (options) => inner.close(options),
    forget: (event) => inner.forget(event),
    async receive(request) {
      const delivery = String(request.headers[deliveryHeader])
      const reply = await deliveries.run(delivery, () => inner.receive(request))
      const { status, outcome, code, idempotencyKey, unmarked, bodyChanged } = reply.outcome
      await into.append({
        kind: 'answering',
        worker,
        delivery,
        status,
        outcome,
        ...(code !== undefined && { code }),
        ...(idempotencyKey !== undefined && { key: idempotencyKey }),
        ...(unmarked !== undefined && { unmarked }),
        ...(bodyChanged !== undefined && { bodyChanged }),
      })
      return reply
    },
  }
}

async function run(
  event: string,
  deeds: readonly Deed[],
  { idempotencyKey: key, attempt, fence, headers }: HandlerContext,
): Promise<void> {
  const id = `${worker}#run${runs++}`
  const deed = deeds[Math.min(attempt, deeds.length) - 1] ?? { act: 'finish', ms: 0 }
  const { act } = deed
  const delivery = String(headers[deliveryHeader])
  await journal.append({ kind: 'started', run: id, worker, key, fence, delivery, event, act })
  const fails = await perform(event, deed)
  await journal.append({ kind: fails ? 'threw' : 'returned', run: id })
  if (fails) throw new Error('as planned')
}

/** Gives whether the handler is to fail. */
async function perform(event: string, deed: Deed): Promise<boolean> {
  if (deed.act === 'hold') return await gateOf(event).opened
  if (deed.act === 'block') blockEventLoop(deed.ms)
  else await pause(deed.ms)
  return deed.act === 'throw'
}

/** Stops everything in this process, the renewals too, and leaves the processor to the others. */
function blockEventLoop(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms)
}

function gateOf(event: string): Gate {
  let gate = gates.get(event)
  if (gate === undefined) {
    let open: Gate['open'] = () => {}
    const opened = new Promise<boolean>((resolve) => {
      open = resolve
    })
    gate = { opened, open }
    gates.set(event, gate)
  }
  return gate
}

async function end(): Promise<void> {
  await receiver.close({ drainMs: 10_000 })
  server.close()
  server.closeAllConnections()
  await close()
  await journal.close()
  process.exit()
}
