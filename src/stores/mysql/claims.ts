import { storeFailure } from '../../databases/failures.ts'
import { lockedMs } from '../limits.ts'
import type { Claim, HeldClaim } from '../store.ts'
import { changeAll } from './changes.ts'
import { type Ask, storeName } from './client.ts'
import { committed, rowsOf, wasBent } from './replies.ts'
import { completed, type Row, running, type Statements, type Wanted } from './sql.ts'

/** What a claim came to. `again`: it is its own owner that holds the key, and is to renew it. */
export type ClaimAnswer =
  | Exclude<Claim, { readonly state: 'in_flight' }>
  | { readonly state: 'in_flight'; readonly retryAfterMs: number; readonly holder?: string }
  | { readonly state: 'again' }

/** A claim that waits for its batch: in the caller's words, and in those of the table. */
export interface ClaimItem {
  readonly key: string
  readonly owner: string
  readonly wanted: Wanted
}

/** More rounds than this only happen where others claim and delete the same keys all the time. */
const mostRounds = 5

/**
 * Claims keys that are all different. It reads before it writes: an insert would wait for whoever
 * has locked a row, and hold up all other keys with it. Keys without a row are inserted, those that
 * are free again are taken over, and what did not come about is read again.
 */
export async function claimAll(
  ask: Ask,
  sql: Statements,
  items: readonly ClaimItem[],
): Promise<ClaimAnswer[]> {
  const round: Round = { ask, sql, answers: new Map(), tried: new Set() }
  let open = items
  for (let rounds = 0; open.length > 0; rounds++) {
    if (rounds === mostRounds) throw storeFailure(storeName, 'RINGHOOK_STORE_BUSY')
    const rows = rowsOf(await ask(sql.read(open.map(({ wanted }) => wanted.key))))
    const { absent, free, own } = sort(round, open, rows)
    await insert(round, absent)
    await takeOver(round, free)
    await renew(round, own)
    open = items.filter((item) => !round.answers.has(item))
  }
  return items.map((item) => round.answers.get(item) ?? locked(item))
}

interface Round {
  readonly ask: Ask
  readonly sql: Statements
  readonly answers: Map<ClaimItem, ClaimAnswer>
  /** Those for which something was written, which may have come about. */
  readonly tried: Set<ClaimItem>
}

interface Found {
  readonly item: ClaimItem
  readonly row: Row
}

interface Sorted {
  readonly absent: ClaimItem[]
  /** Released, or past their lease or retention. */
  readonly free: Found[]
  /** Held by the owner that claims: the reply to its first claim was lost. */
  readonly own: Found[]
}

function locked({ wanted }: ClaimItem): ClaimAnswer {
  return { state: 'in_flight', retryAfterMs: Math.min(lockedMs, wanted.leaseMs) }
}

/** Answers what the rows decide, and sorts the rest by what is to be done. */
function sort(
  { answers, tried }: Round,
  items: readonly ClaimItem[],
  rows: ReadonlyMap<string, Row>,
): Sorted {
  const sorted: Sorted = { absent: [], free: [], own: [] }
  for (const item of items) {
    const row = rows.get(item.wanted.key)
    if (row === undefined) {
      sorted.absent.push(item)
    } else if (row.state === running && row.owner === item.wanted.owner) {
      if (tried.has(item)) answers.set(item, held(item, row.fence))
      else sorted.own.push({ item, row })
    } else if (row.state === running && row.leftMs > 0) {
      answers.set(item, { state: 'in_flight', retryAfterMs: row.leftMs, holder: row.owner })
    } else if (row.state === completed && row.leftMs > 0) {
      answers.set(item, { state: 'completed', fingerprint: row.fingerprint })
    } else if (tried.has(item)) {
      // It could be claimed, and could not be changed: somebody has it locked.
      answers.set(item, locked(item))
    } else {
      sorted.free.push({ item, row })
    }
  }
  return sorted
}

async function insert({ ask, sql, answers, tried }: Round, items: readonly ClaimItem[]) {
  if (items.length === 0) return
  const reply = await ask(sql.insert(items.map(({ wanted }) => wanted)))
  if (committed(reply) === items.length) {
    if (wasBent(reply)) throw storeFailure(storeName, 'RINGHOOK_STORE_NOT_MIGRATED')
    for (const item of items) answers.set(item, held(item, 1))
  } else {
    for (const item of items) tried.add(item)
  }
}

async function takeOver({ ask, sql, answers, tried }: Round, found: readonly Found[]) {
  if (found.length === 0) return
  const reply = await ask(
    sql.takeOver(
      found.map(({ row }) => row),
      found.map(({ item }) => item.wanted),
    ),
  )
  const isDone = committed(reply) === found.length
  for (const { item, row } of found) {
    if (isDone) answers.set(item, held(item, row.fence + 1))
    else tried.add(item)
  }
}

async function renew({ ask, sql, answers }: Round, found: readonly Found[]) {
  if (found.length === 0) return
  const renewals = found.map(({ item, row }) => ({ ...row, ms: item.wanted.leaseMs }))
  const renewed = await changeAll(ask, sql, running, renewals)
  for (const [index, { item, row }] of found.entries()) {
    if (renewed[index] === true) answers.set(item, held(item, row.fence))
    if (renewed[index] === 'locked') answers.set(item, locked(item))
  }
}

function held({ key, owner }: ClaimItem, fence: number): HeldClaim {
  return { state: 'claimed', key, owner, fence, attempt: fence }
}

/** As if it had been claimed right after the claim of the same key that came first. */
export function answerBehind(first: ClaimItem, answer: ClaimAnswer, item: ClaimItem): ClaimAnswer {
  if (answer.state === 'in_flight' && answer.holder === item.wanted.owner) return { state: 'again' }
  if (answer.state !== 'claimed' || item.owner === first.owner) return answer
  return { state: 'in_flight', retryAfterMs: first.wanted.leaseMs }
}
