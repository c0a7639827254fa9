import { setTimeout as pause } from 'node:timers/promises'
import { leaseMs } from '../endpoint.ts'
import type { Journal } from '../journal.ts'
import type { SentEvent } from '../sender.ts'
import type { OpenInbox } from './backend.ts'
import type { InboxHistory } from './history.ts'
import type { Fate, InboxEnding } from './invariants.ts'

/** What a claim says of the bytes, which nobody compares here. */
const fingerprint = '0'.repeat(64)
/** An inbox in which nothing moves for so long has come to a halt. */
const patienceMs = 180_000

/** Waits until an inbox has nothing but dead letters. Gives what it has in the end, if it has more. */
export async function drain(
  { inbox }: OpenInbox,
  journal: Journal,
  isEnough: () => Promise<boolean>,
): Promise<string[]> {
  let last = ''
  let giveUpAt = performance.now() + patienceMs
  for (;;) {
    const stats = await inbox.stats().catch(() => undefined)
    if (stats !== undefined && stats.waiting + stats.running + stats.delayed === 0) return []
    if (await isEnough()) return []
    const now = JSON.stringify(stats)
    if (now !== last) giveUpAt = performance.now() + patienceMs
    last = now
    if (performance.now() > giveUpAt) return [`${now} after ${(await journal.read()).length} lines`]
    await pause(100)
  }
}

/** What became of every event that was answered 2xx. */
export async function fatesOf(
  { inbox, store }: OpenInbox,
  { keys }: InboxHistory,
  events: readonly SentEvent[],
): Promise<Fate[]> {
  const dead = new Set<string>()
  for await (const { id } of inbox.entries({ state: 'dead' })) dead.add(id)
  const fates: Fate[] = []
  for (const { id: event, isAcknowledged } of events) {
    if (!isAcknowledged) continue
    const key = keys.get(event)
    const hasFinished = key !== undefined && (await isCompleted(store, key))
    const isDead = key !== undefined && dead.has(key)
    if (isDead) fates.push({ event, key, state: hasFinished ? 'dead and finished' : 'dead' })
    else fates.push({ event, key, state: hasFinished ? 'completed' : 'completionLost' })
  }
  return fates
}

/** Whether the store says that an event has finished. */
async function isCompleted(store: OpenInbox['store'], key: string): Promise<boolean> {
  const claim = await store.claim(key, { owner: 'the judge', leaseMs, fingerprint })
  if (claim.state === 'claimed') await store.release(claim)
  return claim.state === 'completed'
}

/**
 * Compares the dead letters with what was sent, and replays every other one. Gives what was wrong,
 * and the keys of those that were replayed.
 */
export async function replaySome(
  { inbox }: OpenInbox,
  journal: Journal,
  fates: readonly Fate[],
  events: readonly SentEvent[],
): Promise<{ readonly spoiled: InboxEnding['spoiled']; readonly replayed: readonly string[] }> {
  const spoiled: { key: string; what: string }[] = []
  const replayed: string[] = []
  const sent = new Map(events.map(({ id, signed }) => [id, signed.rawBody]))
  const dead = fates.flatMap(({ event, key = '', state }) =>
    state === 'dead' ? [{ event, key }] : [],
  )
  for (const [index, { event, key }] of dead.entries()) {
    const delivery = (await inbox.entry(key))?.delivery
    const { body = '' } = (delivery ?? {}) as { readonly body?: string }
    if (!Buffer.from(body, 'base64').equals(sent.get(event) ?? Buffer.alloc(0))) {
      spoiled.push({ key, what: `${event} has other bytes than were sent` })
    }
    if (index % 2 === 1) continue
    await journal.append({ kind: 'replaying', key })
    if (!(await inbox.replay(key))) spoiled.push({ key, what: `${event} could not be replayed` })
    await journal.append({ kind: 'replayed', key })
    replayed.push(key)
  }
  return { spoiled, replayed }
}

/** What is wrong in the end with letters that were dead: replayed they ran once more, under a higher fence. */
export function spoiledIn(
  { runs, replays }: InboxHistory,
  calm: readonly Fate[],
  last: readonly Fate[],
): { readonly key: string; readonly what: string }[] {
  const states = new Map(last.map(({ key, state }) => [key, state]))
  return calm.flatMap(({ event, key = '', state }) => {
    if (state !== 'dead') return []
    const replay = replays.get(key)
    const now = states.get(key)
    if (replay === undefined) {
      return now === 'dead' ? [] : [{ key, what: `${event} was a dead letter, and is ${now}` }]
    }
    const ofKey = runs.get(key) ?? []
    const before = ofKey.filter(({ started }) => started.seq < replay.seq)
    const highest = Math.max(0, ...before.map(({ started }) => started.fence))
    const again = ofKey.find(({ started, ended }) => {
      return started.seq > replay.seq && ended?.kind === 'returned' && started.fence > highest
    })
    if (again !== undefined && now === 'completed') return []
    return [{ key, what: `${event} was replayed, and is ${now}` }]
  })
}
