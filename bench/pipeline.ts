/**
 * The pipeline in memory against its floor: what nobody can leave out who receives a signed
 * delivery. Both walk over the same deliveries, in turns. Started by run.ts, which prints what this
 * sends; started by hand it prints its figures as JSON.
 */
import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto'
import { Bench } from 'tinybench'
import { createReceiver, krosai } from '../src/index.ts'
import { type HeldDelivery, heldDeliveries, secret } from './deliveries.ts'

/** What one pass over all deliveries cost, per delivery. */
export interface PipelineFigures {
  readonly deliveries: number
  readonly floorUs: readonly number[]
  readonly ringhookUs: readonly number[]
  /** Processor time, that of the garbage collector's threads included. */
  readonly floorCpuUs: readonly number[]
  readonly ringhookCpuUs: readonly number[]
}

type Subject = 'floor' | 'ringhook'

const count = 10_000
const passes = Number(process.argv[2] ?? 31)

const key = createSecretKey(Buffer.from(secret))
const expected = Buffer.alloc(64)
const presented = Buffer.alloc(64)
let deliveries: readonly HeldDelivery[] = []
let done = 0

function floor(): void {
  for (const { body, headers } of deliveries) {
    expected.write(createHmac('sha256', key).update(body).digest('hex'), 'latin1')
    presented.write(headers['x-webhook-signature'].slice(7), 'latin1')
    const isAuthentic = timingSafeEqual(expected, presented)
    const { event } = JSON.parse(body.toString()) as { readonly event: string }
    if (isAuthentic && event === 'call.completed') done++
  }
}

// One for all passes, as in a server: it fills up and forgets the oldest events.
const receiver = createReceiver(krosai, {
  secret,
  logger: false,
  on: {
    'call.completed': async () => {
      ran++
    },
  },
})
let ran = 0
const handledBody = '{"outcome":"handled"}'

async function ringhook(): Promise<void> {
  for (const delivery of deliveries) {
    const { status, body } = await receiver.receive(delivery)
    if (status === 200 && body === handledBody) done++
  }
}

const bench = new Bench({ iterations: 1, time: 0, warmup: false, throws: true })
const wall: Record<Subject, number[]> = { floor: [], ringhook: [] }
const cpu: Record<Subject, number[]> = { floor: [], ringhook: [] }
let before: NodeJS.CpuUsage

function beforeEach(): void {
  done = 0
  ran = 0
  before = process.cpuUsage()
}

function afterEach(subject: Subject): () => void {
  return () => {
    const { user, system } = process.cpuUsage(before)
    cpu[subject].push((user + system) / count)
    const expectedRuns = subject === 'ringhook' ? count : 0
    if (done !== count || ran !== expectedRuns) {
      throw new Error(`${subject}: ${done} of ${count} went well, ${ran} handlers ran`)
    }
  }
}

bench.add('floor', floor, { async: false, beforeEach, afterEach: afterEach('floor') })
bench.add('ringhook', ringhook, { async: true, beforeEach, afterEach: afterEach('ringhook') })

async function runPass(subject: Subject): Promise<void> {
  const task = bench.getTask(subject)
  task?.reset()
  const result = (await task?.run())?.result
  if (result?.state !== 'completed') throw new Error(`${subject} did not complete`)
  wall[subject].push((result.latency.mean * 1_000) / count)
}

/** The first passes are for the compiler, and fill the store. */
const warmup = 12
for (let index = 0; index < warmup + passes; index++) {
  // Events that no pass before has seen: to ringhook a repeat would be a duplicate.
  deliveries = heldDeliveries(count, String(index))
  const order: readonly Subject[] = index % 2 === 0 ? ['floor', 'ringhook'] : ['ringhook', 'floor']
  for (const subject of order) await runPass(subject)
}

const figures: PipelineFigures = {
  deliveries: count,
  floorUs: wall.floor.slice(warmup),
  ringhookUs: wall.ringhook.slice(warmup),
  floorCpuUs: cpu.floor.slice(warmup),
  ringhookCpuUs: cpu.ringhook.slice(warmup),
}
if (process.send === undefined) console.log(JSON.stringify(figures))
else process.send(figures)
