import { krosai, type SentName } from 'ringhook'
import { type RequestOptions, type SignedRequest, signedRequest } from 'ringhook/testing'
import type { Answer } from './check.ts'
import { deadlineMs, openSlowEndpoint } from './slow-endpoint.ts'
import { eventIdOf, type Shipment, type Stage } from './stage.ts'
import type { TourLog } from './tour-log.ts'

type Name = SentName<typeof krosai>

const handled: Answer = { status: 200, outcome: 'handled' }
const duplicate: Answer = { status: 200, outcome: 'duplicate' }
const failed: Answer = { status: 500, outcome: 'failed', code: 'RINGHOOK_HANDLER_FAILED' }
const timedOut: Answer = {
  status: 503,
  outcome: 'timed_out',
  code: 'RINGHOOK_DEADLINE_EXCEEDED',
}

const notAuthentic: Answer = { status: 401, outcome: 'rejected', code: 'RINGHOOK_NOT_AUTHENTIC' }
const tooOld: Answer = { status: 400, outcome: 'rejected', code: 'RINGHOOK_TIMESTAMP_TOO_OLD' }
const inFuture: Answer = { status: 400, outcome: 'rejected', code: 'RINGHOOK_TIMESTAMP_IN_FUTURE' }
const invalid: Answer = { status: 422, outcome: 'invalid', code: 'RINGHOOK_EVENT_INVALID' }

const minute = 60_000
const day = 24 * 60 * minute

/** The names under which KrosAI's pages show a payload, and those that they mention without one. */
const shown = Object.values(krosai.events).flatMap(samplesOf)
const mentioned = [...krosai.canonicalNames.keys()].filter((name) => !shown.includes(name))

/** What the script needs beside its stage. */
interface TourProps {
  readonly log: TourLog
  readonly secret: string
  /** Closes the endpoint and opens it again. */
  restart(): Promise<void>
}

/** Sends everything that KrosAI's pages describe, and what goes wrong on the way. */
export async function playTour(
  stage: Stage,
  { log, secret, restart }: TourProps,
): Promise<{ readonly documented: number; readonly handledOnce: number }> {
  const shipmentOf = (name: string) => newEvent(name, secret)

  stage.chapter(
    'Documented payloads',
    `the ${shown.length} that KrosAI's pages show, each under its name`,
  )
  const documented = shown.map(shipmentOf)
  await stage.send(...documented)

  stage.chapter(
    'Other names',
    `the ${mentioned.length} that the pages mention and show no payload of`,
  )
  await stage.send(...mentioned.map(shipmentOf))

  stage.chapter('Sent again', 'the same bytes, and other bytes under the same id')
  const [first, , , completed] = documented
  if (first === undefined || completed === undefined) throw new Error('KrosAI has no samples.')
  await stage.send(
    { ...first, promised: duplicate, note: 'the same bytes' },
    { ...completed, promised: duplicate, note: 'the same bytes' },
    { ...completed, promised: duplicate, note: 'the same bytes, a third time' },
    { ...reworded(completed, secret), promised: duplicate, note: 'other bytes, the same id' },
  )

  stage.chapter('Six at the same moment', 'copies of one delivery; the database takes 25 ms')
  log.latencyMs = 25
  const copy = shipmentOf('call.completed')
  await stage.sendTogether([
    copy,
    ...Array.from({ length: 5 }, () => ({ ...copy, promised: duplicate })),
  ])
  log.latencyMs = 0

  stage.chapter(
    'Refused',
    'forged, changed, replayed or wrong: no handler sees them. Codes: docs/errors.md',
  )
  await stage.send(...unwanted(secret))

  stage.chapter(
    'Retried',
    "the database is down for two writes; KrosAI's schedule, without the wait",
  )
  log.failures = 2
  await stage.sendUntilTaken(shipmentOf('call.completed'), [failed, failed, handled])

  await playTooSlow(stage, log, secret)

  stage.chapter(
    'Restarted',
    'the endpoint is closed and opened again; a SQLite file knows what has finished',
  )
  await restart()
  await stage.send(
    { ...first, promised: duplicate, note: 'handled before' },
    { ...copy, promised: duplicate, note: 'handled before' },
    { ...shipmentOf('call.initiated'), note: 'a new event' },
  )

  stage.conclude()
  const handledOnce = stage.countHandledOnce(documented.map(({ request }) => eventIdOf(request)))
  return { documented: documented.length, handledOnce }
}

/** A handler that is not done by its deadline: on an endpoint of its own, whose clock can be moved on. */
async function playTooSlow(stage: Stage, log: TourLog, secret: string): Promise<void> {
  const seconds = `${deadlineMs / 1_000} s`
  stage.chapter('Too slow', `the handler is not done by the deadline of ${seconds}, and goes on`)
  const endpoint = await openSlowEndpoint(secret, log)
  try {
    const shipment = { ...newEvent('call.completed', secret), url: endpoint.url }
    const write = log.hold()
    const answered = stage.send({
      ...shipment,
      promised: timedOut,
      note: `${seconds} by its clock`,
    })
    // Whichever comes first: an answer before the write is a surprise, and nothing to wait behind.
    await Promise.race([write.reached, answered])
    await endpoint.passDeadline()
    await answered
    write.letGo()
    await endpoint.idle()
    await stage.send({ ...shipment, promised: duplicate, note: 'the handler has finished' })
  } finally {
    await endpoint.close()
  }
}

function newEvent(name: string, secret: string): Shipment {
  const canonical = krosai.canonicalNames.get(name)
  return {
    name,
    // Every name comes from krosai itself.
    request: signedRequest(krosai, name as Name, { secret }),
    promised: handled,
    effects: 1,
    note: canonical === name ? '' : `is ${canonical}`,
  }
}

/** The same event in other words: as a provider might send it again after an update. */
function reworded({ name, request }: Shipment, secret: string): Shipment {
  const body = { ...JSON.parse(request.body), sent_again: true }
  return { name, request: signedRequest(krosai, body, { secret }), promised: duplicate }
}

function unwanted(secret: string): Shipment[] {
  const name = 'call.completed'
  const sign = (options: RequestOptions) => signedRequest(krosai, name, { secret, ...options })
  const { 'x-webhook-signature': _, ...unsigned } = sign({}).headers
  return [
    { name, request: sign({ forge: true }), promised: notAuthentic, note: 'another secret' },
    {
      name,
      request: { ...sign({}), headers: unsigned },
      promised: notAuthentic,
      note: 'no signature',
    },
    { name, request: lengthened(sign({})), promised: notAuthentic, note: 'another duration' },
    { name, request: sign({ ageMs: 31 * day }), promised: tooOld, note: '31 days old' },
    { name, request: sign({ ageMs: -10 * minute }), promised: inFuture, note: '10 min ahead' },
    { name, request: withoutCallId(sign({}), secret), promised: invalid, note: 'no call_id' },
  ]
}

/** Changed on the way: another duration under the signature of the true one. */
function lengthened(request: SignedRequest): SignedRequest {
  const body = request.body.replace('"duration":180', '"duration":18000')
  return { ...request, body, rawBody: Buffer.from(body) }
}

function withoutCallId({ body }: SignedRequest, secret: string): SignedRequest {
  const event = JSON.parse(body)
  return signedRequest(
    krosai,
    { ...event, data: { ...event.data, call_id: undefined } },
    { secret },
  )
}

function samplesOf(definition: (typeof krosai.events)[keyof typeof krosai.events]): string[] {
  return 'samples' in definition ? Object.keys(definition.samples) : []
}
