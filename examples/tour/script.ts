import type { InboxAdmin } from 'ringhook'
import { deadlineMs, openInlineEndpoint } from './inline-endpoint.ts'
import {
  accepted,
  dead,
  done,
  duplicate,
  failed,
  handled,
  invalid,
  known,
  mentioned,
  newEvent,
  retried,
  reworded,
  shown,
  timedOut,
  unfit,
  unwanted,
  withoutCallId,
} from './shipments.ts'
import { eventIdOf, type Stage } from './stage.ts'
import type { TourLog } from './tour-log.ts'

/** What the script needs beside its stage. */
interface TourProps {
  readonly log: TourLog
  readonly secret: string
  /** The endpoint that is shown. */
  readonly endpoint: {
    readonly inbox: InboxAdmin
    /** Closes it, and opens it with or without a worker. */
    restart(options: { readonly hasWorker: boolean }): Promise<void>
  }
}

/** Sends everything that KrosAI's pages describe, and what goes wrong on the way. */
export async function playTour(
  stage: Stage,
  { log, secret, endpoint }: TourProps,
): Promise<{ readonly documented: number; readonly handledOnce: number }> {
  const shipmentOf = (name: string) => newEvent(name, secret)

  stage.chapter(
    'Documented payloads',
    `the ${shown.length} that KrosAI's pages show: answered when committed, handled by the worker`,
  )
  const documented = shown.map(shipmentOf)
  await stage.send(...documented)

  stage.chapter(
    'Other names',
    `the ${mentioned.length} that the pages mention and show no payload of`,
  )
  await stage.send(...mentioned.map(shipmentOf))

  stage.chapter('Sent again', 'the store knows what has finished, and the inbox what it has')
  const [first, second, , completed] = documented
  if (first === undefined || second === undefined || completed === undefined) {
    throw new Error('KrosAI has no samples.')
  }
  await stage.send(
    { ...first, attempts: [known], note: 'the same bytes' },
    { ...reworded(completed, secret), attempts: [known], note: 'other bytes, the same id' },
  )
  const copy = { ...shipmentOf('call.completed'), note: 'three at the same moment' }
  const repeat = { ...copy, promised: duplicate, attempts: [] }
  const running = log.hold()
  await stage.sendTogether([copy, repeat, repeat], () => running.letGo())
  log.mend()

  stage.chapter(
    'Refused',
    'forged, changed, replayed or wrong: nothing is kept. Codes: docs/errors.md',
  )
  await stage.send(...unwanted(secret))

  stage.chapter('Tried again', 'the database is down for two writes; KrosAI hears nothing of it')
  log.failures = 2
  await stage.send({ ...shipmentOf('call.completed'), attempts: [retried, retried, done] })
  log.mend()

  stage.chapter(
    'Restarted',
    'closed before the worker began, and opened again: a SQLite file has it all',
  )
  const waiting = shipmentOf('call.initiated')
  await endpoint.restart({ hasWorker: false })
  await stage.send({ ...waiting, attempts: [], note: 'waits' })
  await endpoint.restart({ hasWorker: true })
  await stage.watch(waiting, [done])
  await stage.send({ ...second, attempts: [known], note: 'handled before' })

  await playInline(stage, log, secret)

  await playDeadLetters(stage, log, secret, endpoint.inbox)

  stage.conclude()
  const handledOnce = stage.countHandledOnce(documented.map(({ request }) => eventIdOf(request)))
  return { documented: documented.length, handledOnce }
}

/** What no attempt can handle, and what an operator does about it. */
async function playDeadLetters(
  stage: Stage,
  log: TourLog,
  secret: string,
  inbox: InboxAdmin,
): Promise<void> {
  stage.chapter(
    'Dead letters',
    'no attempt helps, until somebody mends the database and replays what waited for it',
  )
  const wrong = { ...withoutCallId(secret), promised: accepted, attempts: [unfit] }
  const letter = newEvent('call.completed', secret)
  log.failures = 3
  await stage.send(wrong, { ...letter, attempts: [retried, retried, dead] })
  log.mend()

  const letters = await inbox.list({ state: 'dead' })
  const codes = letters.map(({ failure }) => failure?.code)
  const [idOfWrong, idOfLetter] = letters.map(({ id }) => id)
  const promised = [unfit, dead].map(({ code }) => code).join(', ')
  stage.act("receiver.inbox.list({ state: 'dead' })", codes.join(', '), promised)
  stage.act('receiver.inbox.replay(id)', String(await inbox.replay(idOfLetter ?? 'none')), '1')
  await stage.watch(letter, [done])
  stage.act('receiver.inbox.discard(id)', String(await inbox.discard(idOfWrong ?? 'none')), 'true')
}

/**
 * Without an inbox the handler runs before the answer, and KrosAI tries again what failed: on an
 * endpoint of its own, whose clock can be moved on.
 */
async function playInline(stage: Stage, log: TourLog, secret: string): Promise<void> {
  stage.chapter(
    'Without an inbox',
    'KrosAI waits for the handler, and has to send again what failed or took too long',
  )
  const endpoint = await openInlineEndpoint(secret, log)
  try {
    const { url } = endpoint
    const shipmentOf = () => ({
      ...newEvent('call.completed', secret),
      url,
      promised: handled,
      attempts: [],
    })
    await stage.send({ ...withoutCallId(secret), url, promised: invalid })

    log.latencyMs = 25
    const copy = { ...shipmentOf(), note: 'three at the same moment' }
    const repeat = { ...copy, promised: duplicate }
    await stage.sendTogether([copy, repeat, repeat])
    log.mend()

    log.failures = 2
    await stage.sendUntilTaken(shipmentOf(), [failed, failed, handled])
    log.mend()

    const slow = shipmentOf()
    const write = log.hold()
    const note = `${deadlineMs / 1_000} s by its clock`
    const answered = stage.send({ ...slow, promised: timedOut, note })
    // Whichever comes first: an answer before the write is a surprise, and nothing to wait behind.
    await Promise.race([write.reached, answered])
    await endpoint.passDeadline()
    await answered
    write.letGo()
    await endpoint.idle()
    await stage.send({ ...slow, promised: duplicate, note: 'the handler has finished' })
  } finally {
    await endpoint.close()
  }
}
