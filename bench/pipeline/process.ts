/**
 * The pipeline in memory, beside its floor and its peers: from the bytes of a signed delivery to its
 * answer. All walk over the same bodies, in turns. Started by report.ts, which makes the
 * report of what this sends.
 */
import { createReceiver, type DeliveryRequest, krosai, type Receiver } from '../../src/index.ts'
import { flat, heldDelivery, type SignedBody, secret, signedBodies } from '../deliveries.ts'
import { newFloor } from '../floor.ts'
import { handleByHand } from '../http/by-hand.ts'
import { promisedParts } from './parts.ts'
import { loadPeers, type Subject } from './peers.ts'

export interface PipelineTask {
  /** The root of the repository, where the peers are. */
  readonly root: string
  readonly sizes: readonly { readonly bytes: number; readonly deliveries: number }[]
  readonly passes: number
  /** Plants a subject that answers wrongly, to see that it is found out. */
  readonly isWrong?: boolean
}

/** What a subject took, per delivery, pass by pass. */
export interface PipelineRow {
  readonly name: string
  readonly does: string
  readonly us: number[]
  /** Processor time, that of the garbage collector's threads included. */
  readonly cpuUs: number[]
}

export interface PipelineFigures {
  readonly sizes: readonly { readonly bytes: number; readonly rows: readonly PipelineRow[] }[]
}

/** The first passes are for the compiler, and fill the stores. */
const warmup = 4

const { root, sizes, passes, isWrong } = JSON.parse(process.argv[2] ?? '{}') as PipelineTask
const peers = loadPeers(root)
const figures: PipelineFigures = { sizes: await measureAll() }
process.send?.(figures)

async function measureAll(): Promise<PipelineFigures['sizes']> {
  const measured: PipelineFigures['sizes'][number][] = []
  for (const { bytes, deliveries } of sizes) {
    const subjects = await subjectsFor(bytes)
    const rows = subjects.map(
      ({ name, does }) => ({ name, does, us: [], cpuUs: [] }) as PipelineRow,
    )
    for (let pass = -warmup; pass < passes; pass++) {
      // Events that no pass before has seen: to ringhook a repeat would be a duplicate.
      const bodies = signedBodies(deliveries, `${bytes}_${pass + warmup}`, bytes)
      for (const index of inTurn(subjects.length, pass)) {
        const [subject, row] = [subjects[index], rows[index]]
        if (subject === undefined || row === undefined) continue
        const { us, cpuUs } = await measure(subject, bodies)
        if (pass < 0) continue
        row.us.push(us)
        row.cpuUs.push(cpuUs)
      }
    }
    measured.push({ bytes, rows })
  }
  return measured
}

/** Every other pass backwards: whoever comes after somebody else pays for what that one left behind. */
function inTurn(count: number, pass: number): readonly number[] {
  const forwards = Array.from({ length: count }, (_, index) => index)
  return pass % 2 === 0 ? forwards : forwards.reverse()
}

async function measure(subject: Subject, bodies: readonly SignedBody[]) {
  const prepared = bodies.map((body) => subject.prepare(body))
  const before = process.cpuUsage()
  const startedAt = performance.now()
  let right = 0
  for (const one of prepared) {
    const taken = subject.take(one)
    // Who answers at once is not made to wait.
    const isRight: boolean = typeof taken === 'boolean' ? taken : await taken
    if (isRight) right++
  }
  const wallMs = performance.now() - startedAt
  const { user, system } = process.cpuUsage(before)
  if (right !== bodies.length) {
    throw new Error(`${subject.name}: ${right} of ${bodies.length} were taken as they should be`)
  }
  return { us: (wallMs * 1_000) / bodies.length, cpuUs: (user + system) / bodies.length }
}

/** The floor first: the others are compared with it. */
async function subjectsFor(bytes: number): Promise<readonly Subject[]> {
  const handling = () =>
    createReceiver(krosai, { secret, logger: false, on: { 'call.completed': async () => {} } })
  const receiver = handling()
  // Of its own: among the events of the others it would be forgotten as the oldest.
  const repeated = handling()
  const deaf = createReceiver(krosai, { secret, logger: false, on: { 'call.failed': () => {} } })
  const repeat = signedBodies(1, `${bytes}_again`, bytes).map(heldDelivery)[0]
  if (repeat === undefined) throw new Error('there is no body')
  await repeated.receive(repeat)
  const take = (expected: string, to: Receiver, prepare: Subject['prepare']): Subject => ({
    name: `ringhook, ${expected}`,
    does: expected === 'handled' ? 'the whole job' : '',
    prepare,
    take: async (request) => {
      const { body } = await to.receive(request as DeliveryRequest)
      return body.startsWith(`{"outcome":"${expected}"`) !== isWrong
    },
  })
  const takeByFloor = newFloor()
  const forged = { signature: flat(`sha256=${'0'.repeat(64)}`) }
  return [
    {
      name: 'floor',
      does: 'createHmac, timingSafeEqual, JSON.parse',
      prepare: (body) => body,
      take: (body) => takeByFloor(body as SignedBody),
    },
    byHand(),
    take('handled', receiver as Receiver, heldDelivery),
    take('rejected', receiver as Receiver, (body) => heldDelivery({ ...body, ...forged })),
    take('duplicate', repeated as Receiver, () => repeat),
    take('ignored', deaf as Receiver, heldDelivery),
    ...peers,
    ...promisedParts(),
  ]
}

function byHand(): Subject {
  let calls = 0
  const handle = handleByHand(async () => {
    calls++
  })
  return {
    name: 'by hand',
    does: 'the floor, zod, a Set, a handler',
    prepare: (body) => body,
    take: async (prepared) => {
      const { body, signature } = prepared as SignedBody
      const before = calls
      return (await handle(body, signature)) === 200 && calls === before + 1
    },
  }
}
