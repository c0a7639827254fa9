/**
 * Sends what a provider sends, at a steady pace whatever the answers take, and holds every answer
 * against what it has to be. Started by report.ts with its task.
 */
import { Agent, request } from 'node:http'
import { type SignedBody, signedBodies } from '../deliveries.ts'
import { percentile } from '../statistics.ts'

export interface SoakTask {
  readonly port: number
  readonly windows: number
  readonly windowMs: number
  /** How late an answer may be before the run fails. */
  readonly longestLagMs: number
  /** Requests per second. 0: as many as are answered, with `connections` at a time. */
  readonly perSecond: number
}

/** What was sent in one window, and how long the answers took from when each was due. */
export interface SoakWindow {
  readonly sent: Readonly<Record<Kind, number>>
  readonly p50: number
  readonly p99: number
}

const kinds = ['new', 'duplicate', 'failing', 'repeated', 'forged', 'aborted'] as const
type Kind = (typeof kinds)[number]

interface Due {
  readonly kind: Kind
  readonly delivery: SignedBody
}

const connections = 64
const answers: Readonly<Record<Exclude<Kind, 'aborted'>, string>> = {
  new: '200 {"outcome":"handled"}',
  duplicate: '200 {"outcome":"duplicate"}',
  failing: '500 {"outcome":"failed","code":"RINGHOOK_HANDLER_FAILED"}',
  repeated: '200 {"outcome":"handled"}',
  forged: '401 {"outcome":"rejected","code":"RINGHOOK_NOT_AUTHENTIC"}',
}

const { port, windows, windowMs, longestLagMs, perSecond } = JSON.parse(
  process.argv[2] ?? '{}',
) as SoakTask
const agent = new Agent({ keepAlive: true, maxSockets: connections })
/** What was handled not long ago, and what has to come again. */
const finished: SignedBody[] = []
const toRepeat: SignedBody[] = []
let made = 0
let isOver = false
let sent = newCounts()
let times: number[] = []

// Where a pace is asked for, windows of it. Else one, to learn what it may be.
if (perSecond === 0) await measureCapacity()
else await keepPace()
agent.destroy()
process.disconnect?.()

async function measureCapacity(): Promise<void> {
  const until = performance.now() + windowMs
  const work = async () => {
    while (performance.now() < until) await send(fresh('new'), performance.now())
  }
  await Promise.all(Array.from({ length: connections }, work))
  tell()
}

async function keepPace(): Promise<void> {
  const startedAt = performance.now()
  const total = Math.floor((windows * windowMs * perSecond) / 1_000)
  const underWay = new Set<Promise<unknown>>()
  let failure: unknown
  let done = 0
  for (let index = 0; index < total && !isOver; ) {
    const now = performance.now()
    const due = Math.min(total, Math.floor(((now - startedAt) * perSecond) / 1_000))
    for (; index < due; index++) {
      const dueAt = startedAt + (index * 1_000) / perSecond
      const one: Promise<unknown> = send(dueOf(index), dueAt)
        .catch((error) => {
          failure ??= error
          isOver = true
        })
        .then(() => underWay.delete(one))
      underWay.add(one)
    }
    const ended = Math.floor((now - startedAt) / windowMs)
    if (ended > done) {
      done = ended
      tell()
    }
    await new Promise((resolve) => setTimeout(resolve, 2))
  }
  await Promise.all(underWay)
  if (failure !== undefined) throw failure
  if (done < windows) tell()
}

/** Of a hundred: five copies, two that fail at first and come again, two forged, one that is cut off. */
function dueOf(index: number): Due {
  const place = index % 100
  if (place % 20 === 7 && finished.length > 0) {
    return { kind: 'duplicate', delivery: finished[index % finished.length] as SignedBody }
  }
  if (place % 50 === 13) return fresh('forged')
  if (place === 33) return fresh('aborted')
  if (place % 50 === 3) return fresh('failing')
  const again = place % 50 === 43 ? toRepeat.shift() : undefined
  return again === undefined ? fresh('new') : { kind: 'repeated', delivery: again }
}

function fresh(kind: Kind): Due {
  const series = `${kind === 'failing' ? 'fail' : 'soak'}_${process.pid}_${made++}`
  const [delivery] = signedBodies(1, series)
  if (delivery === undefined) throw new Error('there is no body')
  if (kind !== 'forged') return { kind, delivery }
  return { kind, delivery: { ...delivery, signature: `sha256=${'0'.repeat(64)}` } }
}

/** Sends one, and throws when its answer is wrong. */
async function send({ kind, delivery }: Due, dueAt: number): Promise<void> {
  const answer = await answerTo(kind, delivery)
  sent[kind]++
  if (kind === 'aborted') return
  const ms = performance.now() - dueAt
  times.push(ms)
  // Else a copy would come when its event has long been put out of the store.
  if (ms > longestLagMs) throw new Error('server and client cannot keep the pace')
  if (answer !== answers[kind]) throw new Error(`a ${kind} delivery was answered ${answer}`)
  if (kind === 'failing') toRepeat.push(delivery)
  if (kind === 'new' && finished.push(delivery) > 1_000) finished.shift()
}

function answerTo(kind: Kind, { body, signature }: SignedBody): Promise<string> {
  return new Promise((resolve, reject) => {
    const headers = {
      'content-type': 'application/json',
      'content-length': body.length,
      'x-webhook-signature': signature,
    }
    const outgoing = request({
      agent,
      port,
      host: '127.0.0.1',
      method: 'POST',
      path: '/hooks',
      headers,
    })
    if (kind === 'aborted') {
      outgoing.on('error', () => {})
      outgoing.on('close', () => resolve(''))
      outgoing.write(body.subarray(0, body.length / 2), () => outgoing.destroy())
      return
    }
    outgoing.on('error', reject)
    outgoing.on('response', (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => resolve(`${response.statusCode} ${Buffer.concat(chunks)}`))
    })
    outgoing.end(body)
  })
}

function tell(): void {
  const window: SoakWindow = { sent, p50: percentile(times, 0.5), p99: percentile(times, 0.99) }
  process.send?.(window)
  sent = newCounts()
  times = []
}

function newCounts(): Record<Kind, number> {
  return Object.fromEntries(kinds.map((kind) => [kind, 0] as const)) as Record<Kind, number>
}
