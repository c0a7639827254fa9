import type { ChildProcess } from 'node:child_process'
import autocannon from 'autocannon'
import { type SignedBody, signedBodies } from '../deliveries.ts'
import { tie } from '../machine.ts'
import { ask, messageOf, start } from '../processes.ts'
import { type Framework, type ServerReport, type Subject, subjects } from './subjects.ts'

export interface HttpOptions {
  /** The program of a server. */
  readonly program: string
  /** How often every server is started anew: what the compiler made of one is luck. */
  readonly generations: number
  /** How many rounds are for the compiler, and how many each generation is measured in. */
  readonly warmup: number
  readonly rounds: number
  /** How many requests each subject gets in a round. */
  readonly requests: number
}

/** What one subject did, round by round. */
export interface HttpFigures {
  readonly perSecond: number[]
  /** Of an answer, in ms. */
  readonly p50: number[]
  readonly p99: number[]
  /** The server's processor time per request, in µs. */
  readonly cpuUs: number[]
  /** How much of a processor the server used: under 1 it waited for the requests. */
  readonly busy: number[]
  /** In MiB, after the first round, generation by generation. */
  readonly rss: number[]
}

export const connections = 64
/** What each answers: for ringhook proof that no delivery was taken for a repeat. */
const answers: Readonly<Record<Subject, string>> = {
  bare: 'OK',
  byHand: 'OK',
  octokit: 'ok\n',
  ringhook: '{"outcome":"handled"}',
}

interface Server {
  readonly subject: Subject
  readonly child: ChildProcess
}

/**
 * Measures a framework alone, under the hand-written handler, under octokit's middleware and under
 * ringhook: each in a process of its own, in turns, with deliveries that are all different events.
 */
export async function measureFramework(
  framework: Framework,
  options: HttpOptions,
): Promise<Readonly<Record<Subject, HttpFigures>>> {
  const figures = Object.fromEntries(
    subjects.map((subject) => [subject, newFigures()] as const),
  ) as Record<Subject, HttpFigures>
  for (let generation = 0; generation < options.generations; generation++) {
    const servers = await Promise.all(
      subjects.map((subject) => startServer(options.program, framework, subject)),
    )
    try {
      for (let round = -options.warmup; round < options.rounds; round++) {
        for (const server of round % 2 === 0 ? servers : servers.toReversed()) {
          const series = `${generation}_${round}`
          const one = await measureRound(server, framework, series, options.requests)
          const of = figures[server.subject]
          if (round === -options.warmup) of.rss.push(await residentOf(server))
          if (round < 0) continue
          of.perSecond.push(one.perSecond)
          of.p50.push(one.p50)
          of.p99.push(one.p99)
          of.cpuUs.push(one.cpuUs)
          of.busy.push(one.busy)
        }
      }
    } finally {
      for (const { child } of servers) child.disconnect()
    }
  }
  return figures
}

async function measureRound(
  { subject, child }: Server,
  framework: Framework,
  series: string,
  requests: number,
) {
  const bodies = signedBodies(requests, series)
  const before = await ask<ServerReport>(child, subject)
  const { seconds, times } = await deliver(bodies, before.port, subject)
  const after = await ask<ServerReport>(child, subject)
  const calls = after.calls - before.calls
  if (calls !== (subject === 'bare' ? 0 : requests)) {
    throw new Error(`${framework}, ${subject}: ${calls} handlers ran`)
  }
  const cpuUs = after.cpuUs - before.cpuUs
  times.sort()
  return {
    perSecond: requests / seconds,
    p50: times[Math.floor(requests * 0.5)] ?? 0,
    p99: times[Math.floor(requests * 0.99)] ?? 0,
    cpuUs: cpuUs / requests,
    busy: cpuUs / 1_000_000 / seconds,
  }
}

/** What a server takes of the memory when its garbage is gone, in MiB. */
async function residentOf({ child, subject }: Server): Promise<number> {
  return (await ask<ServerReport>(child, subject, 'collected')).rss / 1_048_576
}

async function startServer(
  program: string,
  framework: Framework,
  subject: Subject,
): Promise<Server> {
  const child = start(program, [framework, subject])
  await messageOf(child, `${framework}, ${subject}`)
  if (child.pid !== undefined) tie(child.pid, 0)
  return { subject, child }
}

/** Sends every body once, and gives the seconds until the last answer and how long each took. */
async function deliver(
  bodies: readonly SignedBody[],
  port: number,
  subject: Subject,
): Promise<{ readonly seconds: number; readonly times: Float64Array }> {
  const perConnection = bodies.length / connections
  const times = new Float64Array(bodies.length)
  let connected = 0
  let answered = 0
  let startedAt = 0
  let lastAnswerAt = 0
  const options: autocannon.Options = {
    url: `http://127.0.0.1:${port}/hooks`,
    method: 'POST',
    connections,
    amount: bodies.length,
    sampleInt: 100,
    verifyBody: (body) => body === answers[subject],
    setupClient: (client) => {
      const first = connected++ * perConnection
      client.setRequests(bodies.slice(first, first + perConnection).map(requestOf))
    },
  }
  const stayAwake = new AbortController()
  stayAwakeUntil(stayAwake.signal)
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const run = autocannon(options, (error: Error | null, done) => {
      if (error === null) resolve(done)
      else reject(error)
    })
    // Not the duration that it gives: that is rounded, and ends with a sample.
    run.on('start', () => {
      startedAt = performance.now()
    })
    run.on('response', (_client, _status, _bytes, ms) => {
      times[answered++] = ms
      lastAnswerAt = performance.now()
    })
  }).finally(() => stayAwake.abort())
  const { '2xx': successes, errors, mismatches, non2xx } = result
  if (successes !== bodies.length || errors + mismatches + non2xx > 0) {
    throw new Error(
      `${subject}: ${successes} of ${bodies.length} answered 2xx, ${errors} errors, ${mismatches} other answers`,
    )
  }
  return { seconds: (lastAnswerAt - startedAt) / 1_000, times }
}

/**
 * Lets the client ask for answers again and again, and never sleep: to wake it would be work of the
 * server, the more of it the slower the server is.
 */
function stayAwakeUntil(signal: AbortSignal): void {
  if (!signal.aborted) setImmediate(stayAwakeUntil, signal)
}

/** With the headers of both schemes: the signature is the same. */
function requestOf({ body, signature }: SignedBody): autocannon.Request {
  return {
    method: 'POST',
    path: '/hooks',
    headers: {
      'user-agent': 'KrosAI-Webhooks/1.0',
      'content-type': 'application/json',
      'x-webhook-signature': signature,
      'x-hub-signature-256': signature,
      'x-github-event': 'push',
      'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958',
    },
    body,
  }
}

function newFigures(): HttpFigures {
  return { perSecond: [], p50: [], p99: [], cpuUs: [], busy: [], rss: [] }
}
