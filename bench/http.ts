import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import autocannon from 'autocannon'
import { type SignedBody, signedBodies } from './deliveries.ts'
import type { Framework, ServerReport, Subject } from './subjects/server.ts'

export interface HttpOptions {
  /** Where the built subjects are. */
  readonly folder: string
  readonly rounds: number
  /** How many requests each subject gets in a round. */
  readonly requests: number
}

/** What one subject did, round by round. */
export interface HttpFigures {
  readonly perSecond: number[]
  /** The server's processor time per request, in microseconds. */
  readonly cpuUs: number[]
  /** How much of a processor the server used: under 1 it waited for the requests. */
  readonly busy: number[]
}

const connections = 16
const subjects: readonly Subject[] = ['bare', 'byHand', 'ringhook']
/** What each answers: for ringhook proof that no delivery was taken for a repeat. */
const answers: Readonly<Record<Subject, string>> = {
  bare: 'OK',
  byHand: 'OK',
  ringhook: '{"outcome":"handled"}',
}

/**
 * Measures a framework alone, under the hand-written handler and under ringhook: each in a process
 * of its own, in turns, with deliveries that are all different events.
 */
export async function measureHttp(
  framework: Framework,
  { folder, rounds, requests }: HttpOptions,
): Promise<Readonly<Record<Subject, HttpFigures>>> {
  const servers = await Promise.all(
    subjects.map(async (subject) => ({
      subject,
      server: await startServer(folder, framework, subject),
      figures: { perSecond: [], cpuUs: [], busy: [] } as HttpFigures,
    })),
  )
  try {
    // The first rounds are for the compiler.
    for (let round = -2; round < rounds; round++) {
      const order = round % 2 === 0 ? servers : servers.toReversed()
      for (const { subject, server, figures } of order) {
        const bodies = signedBodies(requests, `${round}`)
        const before = await reportOf(server)
        const seconds = await deliver(bodies, before.port, subject)
        const after = await reportOf(server)
        const expected = subject === 'bare' ? 0 : requests
        if (after.calls - before.calls !== expected) {
          throw new Error(`${framework}, ${subject}: ${after.calls - before.calls} handlers ran`)
        }
        if (round < 0) continue
        const cpuUs = after.cpuUs - before.cpuUs
        figures.perSecond.push(requests / seconds)
        figures.cpuUs.push(cpuUs / requests)
        figures.busy.push(cpuUs / 1_000_000 / seconds)
      }
    }
  } finally {
    for (const { server } of servers) server.disconnect()
  }
  return Object.fromEntries(servers.map(({ subject, figures }) => [subject, figures])) as Record<
    Subject,
    HttpFigures
  >
}

async function startServer(
  folder: string,
  framework: Framework,
  subject: Subject,
): Promise<ChildProcess> {
  const server = fork(`${folder}/subjects/server.js`, [framework, subject], {
    execArgv: [],
    env: { ...process.env, NODE_ENV: 'production' },
  })
  server.once('exit', (code) => {
    if (code !== 0) throw new Error(`The server of ${framework}, ${subject} ended with ${code}.`)
  })
  await once(server, 'message')
  return server
}

async function reportOf(server: ChildProcess): Promise<ServerReport> {
  const answer = once(server, 'message')
  server.send('report')
  const [report] = (await answer) as [ServerReport]
  return report
}

/** Sends every body once, and gives the seconds until the last answer. */
async function deliver(
  bodies: readonly SignedBody[],
  port: number,
  subject: Subject,
): Promise<number> {
  const perConnection = bodies.length / connections
  let connected = 0
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
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const run = autocannon(options, (error: Error | null, done) => {
      if (error === null) resolve(done)
      else reject(error)
    })
    // Not the duration that it gives: that is rounded, and ends with a sample.
    run.on('start', () => {
      startedAt = performance.now()
    })
    run.on('response', () => {
      lastAnswerAt = performance.now()
    })
  })
  const { '2xx': successes, errors, mismatches, non2xx } = result
  if (successes !== bodies.length || errors + mismatches + non2xx > 0) {
    throw new Error(
      `${subject}: ${successes} of ${bodies.length} answered 2xx, ${errors} errors, ${mismatches} other answers`,
    )
  }
  return (lastAnswerAt - startedAt) / 1_000
}

function requestOf({ body, signature }: SignedBody): autocannon.Request {
  return {
    method: 'POST',
    path: '/hooks',
    headers: {
      'user-agent': 'KrosAI-Webhooks/1.0',
      'content-type': 'application/json',
      'x-webhook-signature': signature,
    },
    body,
  }
}
