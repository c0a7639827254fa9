import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { krosai, type Outcome } from 'ringhook'
import { signedRequest } from 'ringhook/testing'
import { createApp as createExample } from '../express/server.ts'
import { readPort, runProgram, UsageError } from '../shared/program.ts'
import { AttemptBook } from './attempts.ts'
import { curlCommand } from './curl.ts'
import { type CreateApp, Endpoint } from './endpoint.ts'
import { type Output, Paper } from './paper.ts'
import { playTour } from './script.ts'
import { Stage } from './stage.ts'
import { TourLog } from './tour-log.ts'

const usage = `Usage: npm start [-- --once]

Starts the Express example with a durable inbox on this machine, lets a simulated KrosAI deliver to it
over HTTP, and checks every answer, every attempt and every effect. Then it keeps listening, for
deliveries of your own.

  --once   end after the tour: 0 if everything was as promised, otherwise 1
  --help   this text

  PORT                    where to listen. Default: any free port
  KROSAI_WEBHOOK_SECRET   what to sign with. Default: a new one
  NO_COLOR, FORCE_COLOR   no colours, or colours also where the output is no terminal`

/** What the tour gets from outside. */
export interface TourOptions {
  readonly args: readonly string[]
  readonly env: NodeJS.ProcessEnv
  readonly output: Output
  /** The endpoint that is shown. Default: the Express example. */
  readonly createApp?: CreateApp
  /** How long to wait for a worker that does not begin, in ms. Default: 12 000. */
  readonly patienceMs?: number
}

/** Runs the tour and gives the exit code. Without `--once` that is when somebody stops it. */
export async function runTour({ args, env, output, ...options }: TourOptions): Promise<number> {
  const { once: isOnce = false, help } = readArgs(args)
  const paper = new Paper(output, env)
  if (help) {
    paper.print(usage)
    return 0
  }
  const secret = env['KROSAI_WEBHOOK_SECRET'] ?? randomBytes(24).toString('base64url')
  const port = readPort(env['PORT'], 0)
  const folder = await mkdtemp(join(tmpdir(), 'ringhook-tour-'))
  try {
    const file = join(folder, 'ringhook.db')
    const { createApp: create = createExample, patienceMs = 12_000 } = options
    return await play(paper, { create, secret, port, file, isOnce, patienceMs })
  } finally {
    await rm(folder, { recursive: true })
  }
}

interface PlayOptions {
  readonly create: CreateApp
  readonly secret: string
  readonly port: number
  readonly file: string
  readonly isOnce: boolean
  readonly patienceMs: number
}

async function play(
  paper: Paper,
  { isOnce, patienceMs, ...options }: PlayOptions,
): Promise<number> {
  const { secret } = options
  const log = new TourLog()
  const attempts = new AttemptBook(patienceMs)
  let tell = (outcome: Outcome) => attempts.note(outcome)
  const endpoint = await Endpoint.open({
    ...options,
    log,
    logger: false,
    onOutcome: (outcome) => tell(outcome),
  })
  const url = `${endpoint.origin}/hooks/krosai`

  paper.print(
    `${paper.style('bold', 'ringhook')}  A simulated KrosAI delivers to the Express example, which has an inbox, at ${url}`,
  )
  const stage = new Stage({ paper, log, attempts, url, settled: () => endpoint.settled() })
  const score = await playTour(stage, { log, secret, endpoint })
  paper.print()
  conclude(paper, stage, score)

  if (!isOnce) {
    tell = (outcome) => printOwn(paper, outcome)
    invite(paper, endpoint.origin, curlCommand(url, ownDelivery(secret)))
    const signal = await stopSignal()
    paper.print()
    paper.print(`${signal}: letting handlers finish`)
  }
  await endpoint.close()
  if (!isOnce) paper.print('Stopped')
  return stage.surprises.length === 0 ? 0 : 1
}

function readArgs(args: readonly string[]) {
  const options = { once: { type: 'boolean' }, help: { type: 'boolean', short: 'h' } } as const
  try {
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    // The first sentence names the argument, the others are about commands that take more of them.
    const [problem] = String((error as Error).message).split('. ')
    throw new UsageError(`${problem}.\n\n${usage}`, { cause: error })
  }
}

function conclude(
  paper: Paper,
  { surprises, totals: { deliveries, handled } }: Stage,
  { documented, handledOnce }: Awaited<ReturnType<typeof playTour>>,
): void {
  for (const surprise of surprises) paper.print(paper.style('red', `✗  ${surprise}`))
  const share = handledOnce === documented ? documented : `${handledOnce} of ${documented}`
  const found = `${surprises.length} ${surprises.length === 1 ? 'surprise' : 'surprises'}`
  const verdict = `${share} documented payloads handled once each · ${deliveries} deliveries, ${handled} events handled, ${found}`
  paper.print(paper.style(surprises.length === 0 ? 'green' : 'red', verdict))
}

/** A call of its own, so that what the handler wrote is easy to find in the call log. */
function ownDelivery(secret: string) {
  const overrides = { data: { call_id: `call_${randomBytes(3).toString('hex')}` } }
  return signedRequest(krosai, 'call.ended', { secret, overrides })
}

function invite(paper: Paper, origin: string, command: string): void {
  paper.heading('Your turn', 'paste this twice: the worker finds the second one done')
  paper.print()
  paper.print(command)
  paper.print()
  paper.print(`What the handlers wrote:  curl ${origin}/calls`)
  paper.print(`Listening on ${origin}. Ctrl+C stops.`)
  paper.print()
}

function printOwn(paper: Paper, outcome: Outcome): void {
  // Nobody knows what an unverified body is about.
  const { sentAs = '–', status = 0, code, durationMs, next, nextInMs } = outcome
  const at = new Date()
  if (next !== undefined) {
    paper.attempt({ at, outcome: outcome.outcome, next, code, nextInMs }, sentAs)
    return
  }
  const answer = { status, outcome: outcome.outcome, code }
  // By the receiver's clock, which counts whole milliseconds.
  const took = durationMs < 1 ? '<1' : String(durationMs)
  paper.line({ at, name: sentAs, answer, took, note: '' })
}

function stopSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => resolve(signal))
  })
}

await runProgram(import.meta.url, async () => {
  const { argv, env, stdout } = process
  process.exitCode = await runTour({ args: argv.slice(2), env, output: stdout })
})
