/**
 * A planned failover by Sentinel: `npm run chaos:sentinel`. A master, replicas and a Sentinel are
 * started here, events and deliveries go in all the time, the master is changed in the middle, and
 * then everything that was answered is looked for. docs/chaos.md explains it.
 *
 * `--replicas 1` says how many there are, `--least 1` what `min-replicas-to-write` is: by default as
 * many. With fewer, or with `--undetected`, which leaves the client's `failoverDetector` off, some are
 * lost, or the gap is longer.
 *
 * Exits with 0 if nothing that was answered was lost, with 1 otherwise.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Queue, Worker } from 'bullmq'
import { Redis } from 'ioredis'
import { bullmqInbox } from '../src/inboxes/bullmq.ts'
import { createReceiver, krosai, type Receiver, type Reply } from '../src/index.ts'
import { redisStore } from '../src/stores/redis.ts'
import { type SignedRequest, signedRequest } from '../src/testing.ts'
import { masterName, startSentinel } from '../test/helpers/sentinel.ts'

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '40' },
    replicas: { type: 'string', default: '1' },
    least: { type: 'string' },
    undetected: { type: 'boolean', default: false },
  },
})
const seconds = Number(values.seconds)
const { replicas, least = replicas } = values
const secret = 'a secret for the failover'
/** How many senders there are of each kind. */
const senders = 16

interface Answered {
  /** Those that were answered 200. */
  readonly requests: SignedRequest[]
  completionLost: number
  refused: number
  refusedFrom: number
  refusedUntil: number
}

const setup = await startSentinel(
  { 'min-replicas-to-write': least, 'min-replicas-max-lag': '10' },
  Number(replicas),
)
const connection = {
  sentinels: setup.sentinels,
  name: masterName,
  failoverDetector: !values.undetected,
  maxRetriesPerRequest: 1,
  enableOfflineQueue: false,
}
const client = new Redis({ ...connection, enableOfflineQueue: true })
const queue = new Queue('failover', { connection })
for (const emitter of [client, queue]) emitter.on('error', () => {})
const store = redisStore(client, { logger: false })
await store.migrate()
const inbox = bullmqInbox(queue, { Worker, logger: false })
await queue.waitUntilReady()
const shared = { secret, store, logger: false, on: { 'call.completed': () => {} } } as const
const direct = createReceiver(krosai, { ...shared, namespace: 'direct' })
const queued = createReceiver(krosai, { ...shared, namespace: 'queued', inbox })

const over = new AbortController()
const handled = load(direct)
const accepted = load(queued)
await pause(2_000)
const before = await setup.masterPort()
await setup.failOver()
await pause(seconds * 1_000)
over.abort()
const [ofStore, ofInbox] = await Promise.all([handled, accepted])
const after = await setup.masterPort()
if (before === after) throw new Error('Sentinel did not change the master.')

let forgotten = 0
for (const request of ofStore.requests) {
  const { outcome } = await send(direct, request)
  if (outcome.outcome !== 'duplicate') forgotten++
}
const kept = new Set<string>()
for await (const { id } of inbox.entries({})) kept.add(id)
const lost = ofInbox.requests.length - kept.size
print('redisStore: events handled', ofStore, 'run again when they were repeated', forgotten)
print('bullmqInbox: deliveries accepted', ofInbox, 'are not in the queue', Math.max(lost, 0))

client.disconnect()
await queue.close()
await setup.remove()
process.exit(forgotten > 0 || lost > 0 ? 1 : 0)

/** Sends new events, one after another with each sender, until the run is over. */
async function load(receiver: Receiver): Promise<Answered> {
  const answered: Answered = {
    requests: [],
    completionLost: 0,
    refused: 0,
    refusedFrom: 0,
    refusedUntil: 0,
  }
  await Promise.all(
    Array.from({ length: senders }, async () => {
      while (!over.signal.aborted) {
        const request = signedRequest(krosai, 'call.completed', { secret })
        const { status, outcome } = await send(receiver, request)
        // What could not be marked is answered 200 too, and says so.
        if (outcome.completionLost === true) answered.completionLost++
        else if (status === 200) {
          answered.requests.push(request)
          continue
        }
        answered.refused++
        answered.refusedFrom ||= performance.now()
        answered.refusedUntil = performance.now()
        await pause(20)
      }
    }),
  )
  return answered
}

function send(receiver: Receiver, request: SignedRequest): Promise<Reply> {
  const { method, headers, rawBody: body } = request
  return receiver.receive({ method, headers, body, url: '/' })
}

function print(what: string, answered: Answered, loss: string, count: number): void {
  const { requests, completionLost, refused, refusedFrom, refusedUntil } = answered
  const forSeconds = ((refusedUntil - refusedFrom) / 1_000).toFixed(1)
  console.log(
    `${what} ${requests.length}, ${loss} ${count}; reported as completionLost ${completionLost}; 503 ${refused} times in ${forSeconds} s`,
  )
}
