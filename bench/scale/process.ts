/**
 * What a delivery costs as something grows, in a process of its own for each thing that grows.
 * Started by report.ts, which makes the report of what this sends.
 */
import { Pool } from 'pg'
import { z } from 'zod'
import {
  createReceiver,
  type DeliveryRequest,
  krosai,
  memoryStore,
  type Receiver,
} from '../../src/index.ts'
import { postgresStore } from '../../src/stores/postgres.ts'
import { heldDelivery, type SignedBody, secret, signedBodies } from '../deliveries.ts'
import { newFloor } from '../floor.ts'
import { placeName } from '../stores/subject.ts'

export interface ScaleTask {
  readonly grows: 'remembered' | 'handlers' | 'secrets' | 'body' | 'simultaneous' | 'rows'
  /** How much there is of it. */
  readonly sizes: readonly number[]
  readonly rounds: number
  /** How many deliveries each size gets in a round. */
  readonly deliveries: number
}

/** Of one size, round by round, per delivery. */
export interface SizeFigures {
  readonly size: number
  readonly cpuUs: number[]
  readonly us: number[]
  /** The floor's processor time for the same bodies. */
  readonly floorUs: number[]
  /** How many bytes of heap each remembered event takes. 0: not measured. */
  readonly heapPerEvent: number
}

interface Options {
  readonly on?: object
  readonly [name: string]: unknown
}

/** Takes the bodies of one round. */
type Take = (bodies: readonly SignedBody[]) => Promise<void>

interface Subject {
  readonly size: number
  readonly bytes: number
  readonly heapPerEvent?: number
  readonly take: Take
}

const leaseMs = 30_000
const retentionMs = 30 * 24 * 60 * 60_000
const presetBytes = 430
/** As the core writes one. */
const fingerprint = '1gk0z5h'

const task = JSON.parse(process.argv[2] ?? '{}') as ScaleTask
const url = process.env['RINGHOOK_BENCH_URL'] ?? ''
const pool = new Pool({ connectionString: url })
const tables: string[] = []
try {
  process.send?.(await measure(await subjectsOf(task)))
} finally {
  for (const table of tables) await pool.query(`DROP TABLE IF EXISTS ${table}`)
  await pool.end()
  process.disconnect?.()
}

function subjectsOf({ grows, sizes }: ScaleTask): Promise<readonly Subject[]> {
  const make = {
    remembered: ofRemembered,
    handlers: ofHandlers,
    secrets: ofSecrets,
    body: ofBody,
    simultaneous: ofSimultaneous,
    rows: ofRows,
  }[grows]
  return Promise.all(sizes.map(make))
}

async function measure(subjects: readonly Subject[]): Promise<readonly SizeFigures[]> {
  const takeByFloor = newFloor()
  const figures = subjects.map(
    ({ size, heapPerEvent = 0 }): SizeFigures => ({
      size,
      cpuUs: [],
      us: [],
      floorUs: [],
      heapPerEvent,
    }),
  )
  // The first rounds are for the compiler.
  for (let round = -3; round < task.rounds; round++) {
    const turns = subjects.map((_, index) => index)
    for (const index of round % 2 === 0 ? turns : turns.reverse()) {
      const [subject, figure] = [subjects[index], figures[index]]
      if (subject === undefined || figure === undefined) continue
      const { size, bytes } = subject
      // Few of the large ones, and of those that come together as many as come together.
      const share = task.grows === 'body' ? presetBytes / bytes : 1
      const count = Math.max(
        Math.ceil(task.deliveries * share),
        task.grows === 'simultaneous' ? size : 20,
      )
      const bodies = signedBodies(count, `${index}_${round + 3}`, bytes)
      const floor = await timed(async () => {
        for (const body of bodies) if (!takeByFloor(body)) throw new Error('the floor is wrong')
      })
      const own = await timed(() => subject.take(bodies))
      if (round < 0) continue
      figure.floorUs.push(floor.cpuUs / count)
      figure.cpuUs.push(own.cpuUs / count)
      figure.us.push(own.us / count)
    }
  }
  return figures
}

async function timed(work: () => Promise<void>) {
  const before = process.cpuUsage()
  const startedAt = performance.now()
  await work()
  const us = (performance.now() - startedAt) * 1_000
  const { user, system } = process.cpuUsage(before)
  return { us, cpuUs: user + system }
}

/** What the heap holds, and what its typed arrays hold outside of it. */
function bytesInUse(): number {
  globalThis.gc?.()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return heapUsed + arrayBuffers
}

/** A memory store that is as full as it may be: each event that comes puts one out. */
async function ofRemembered(events: number): Promise<Subject> {
  const before = bytesInUse()
  const store = memoryStore({ maxEntries: events, logger: false })
  for (let index = 0; index < events; index++) {
    // A key as long as the core's, and an owner.
    const key = index.toString(16).padStart(64, '0')
    const owner = `3f0c8a52-95a5-4b0e-a0b6-0d8a3d1f7f10.${index}`
    const held = await store.claim(key, { owner, leaseMs, fingerprint })
    if (held.state !== 'claimed') throw new Error(`a new key is ${held.state}`)
    await store.complete(held, { retentionMs })
  }
  const heapPerEvent = (bytesInUse() - before) / events
  return { ...ofReceiver(events, { store }), heapPerEvent }
}

async function ofHandlers(handlers: number): Promise<Subject> {
  const names = Array.from({ length: handlers - 1 }, (_, index) => `custom.${index}`)
  const events = Object.fromEntries(names.map((name) => [name, z.object({ id: z.string() })]))
  const on = Object.fromEntries(names.map((name) => [name, async () => {}]))
  return ofReceiver(handlers, { events, on })
}

/** The one that verifies is the last of them, as the old one is of a rotation. */
async function ofSecrets(secrets: number): Promise<Subject> {
  const others = Array.from({ length: secrets - 1 }, (_, index) => `whsec_another_${index}`)
  return ofReceiver(secrets, { secret: [...others, secret] })
}

async function ofBody(bytes: number): Promise<Subject> {
  return { ...ofReceiver(bytes, {}), bytes }
}

/** So many handlers run at the same time, and end together. */
async function ofSimultaneous(deliveries: number): Promise<Subject> {
  let running = 0
  let open: () => void = () => {}
  let gate = Promise.resolve()
  const receiver = newReceiver({
    on: {
      'call.completed': () => {
        running++
        if (running === deliveries) open()
        return gate
      },
    },
  })
  const take: Take = async (bodies) => {
    for (let first = 0; first < bodies.length; first += deliveries) {
      const some = bodies.slice(first, first + deliveries)
      if (some.length < deliveries) throw new Error('what is left over would wait for ever')
      running = 0
      gate = new Promise((resolve) => {
        open = resolve
      })
      await Promise.all(some.map((body) => expectHandled(receiver, body)))
    }
  }
  return { size: deliveries, bytes: presetBytes, take }
}

/** A table of Postgres with so many finished events, and 64 deliveries at a time. */
async function ofRows(rows: number): Promise<Subject> {
  const table = placeName()
  tables.push(table)
  const store = postgresStore(pool, { table })
  await store.migrate()
  // In the order of their keys, so that the index of ten million is written from left to right.
  await pool.query(
    `INSERT INTO ${table} (key, owner, fence, state, fingerprint, ends_at)
SELECT encode(sha256(n::text::bytea), 'hex'), '3f0c8a52-95a5-4b0e-a0b6-0d8a3d1f7f10.' || n, 1, 1, '${fingerprint}', now() + interval '30 days'
FROM generate_series(1, $1::int) AS n ORDER BY 1`,
    [rows],
  )
  await pool.query(`VACUUM ANALYZE ${table}`)
  const receiver = newReceiver({ store })
  const take: Take = async (bodies) => {
    const left = bodies[Symbol.iterator]()
    const work = async () => {
      for (const body of { [Symbol.iterator]: () => ({ next: () => left.next() }) }) {
        await expectHandled(receiver, body)
      }
    }
    await Promise.all(Array.from({ length: 64 }, work))
  }
  return { size: rows, bytes: presetBytes, take }
}

function ofReceiver(size: number, options: Options): Subject {
  const receiver = newReceiver(options)
  const take: Take = async (bodies) => {
    for (const body of bodies) await expectHandled(receiver, body)
  }
  return { size, bytes: presetBytes, take }
}

function newReceiver({ on, ...options }: Options): Receiver {
  return createReceiver(krosai, {
    secret,
    logger: false,
    ...options,
    on: { 'call.completed': async () => {}, ...on },
  } as Parameters<typeof createReceiver<typeof krosai>>[1]) as Receiver
}

async function expectHandled(receiver: Receiver, body: SignedBody): Promise<void> {
  const { body: answer } = await receiver.receive(heldDelivery(body) as DeliveryRequest)
  if (answer !== '{"outcome":"handled"}') throw new Error(`answered ${answer}`)
}
