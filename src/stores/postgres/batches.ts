import { Batches } from '../batches.ts'
import type { PostgresServer, Row } from './client.ts'
import { strangeRows } from './failures.ts'
import type { BatchStatement } from './sql.ts'

/** A claim, with key and owner in their stored form. */
export interface AskedClaim {
  readonly key: string
  readonly owner: string
  readonly ms: number
  readonly fingerprint: string
}

/** The answer to a claim in a batch. `undecided`: somebody else was at the row; to be asked again. */
export type ClaimAnswer =
  | { readonly verdict: 'claimed'; readonly fence: number }
  | { readonly verdict: 'in_flight'; readonly holder: string; readonly leftMs: number }
  | { readonly verdict: 'completed'; readonly fingerprint: string }
  | { readonly verdict: 'undecided' }

/** An extension, completion or release of a claim, and the time that it sets from now. */
export interface AskedChange {
  readonly key: string
  readonly owner: string
  readonly ms: number
  readonly fence: number
}

/** The answer to a change. `undecided`: somebody else has locked the row; to be asked again. */
export type ChangeAnswer = 'done' | 'lost' | 'undecided'

/** Puts the claims of one turn of the event loop together. */
export function claimBatches(
  server: PostgresServer,
  statement: BatchStatement,
): Batches<AskedClaim, ClaimAnswer> {
  return new Batches({
    store: 'postgresStore',
    keyOf: ({ key }) => key,
    run: async (asked, isOver) => {
      let rows = await send(server, statement, asked, lastOfClaim, isOver)
      if (asked.length === 1 && rows[0]?.['verdict'] === 'free') {
        const whole = { ...statement, one: statement.many }
        rows = await send(server, whole, asked, lastOfClaim, isOver)
      }
      const answers = new Map(rows.map((row) => [row['key'], claimAnswerOf(row)]))
      return asked.map(({ key }) => answers.get(key) ?? undecided)
    },
    follow: answerBehind,
  })
}

/** Puts the changes of one kind and one turn of the event loop together. */
export function changeBatches(
  server: PostgresServer,
  statement: BatchStatement,
): Batches<AskedChange, ChangeAnswer> {
  return new Batches({
    store: 'postgresStore',
    keyOf: ({ key }) => key,
    run: async (asked, isOver) => {
      const rows = await send(server, statement, asked, ({ fence }) => fence, isOver)
      const answers = new Map(rows.map((row) => [row['key'], changeAnswerOf(row)]))
      return asked.map(({ key }) => answers.get(key) ?? 'undecided')
    },
  })
}

/** The number in a column; refuses what is none. */
export function wholeNumber(text: string | undefined): number {
  if (text === undefined || !/^-?\d{1,15}$/.test(text)) throw strangeRows()
  return Number(text)
}

/** Sends one list for each column, with line ends between: no stored form and no fingerprint has one. */
function send<Item extends Omit<AskedChange, 'fence'>>(
  server: PostgresServer,
  { one, many }: BatchStatement,
  asked: readonly Item[],
  lastOf: (item: Item) => string | number,
  isOver: () => boolean,
): Promise<readonly Row[]> {
  const values = [
    asked.map(({ key }) => key).join('\n'),
    asked.map(({ owner }) => owner).join('\n'),
    asked.map(({ ms }) => ms).join('\n'),
    asked.map(lastOf).join('\n'),
  ]
  return server.rows(asked.length === 1 ? one : many, values, isOver)
}

const lastOfClaim = ({ fingerprint }: AskedClaim) => fingerprint

const undecided: ClaimAnswer = { verdict: 'undecided' }

/** A claim that came behind another one of its key: by what the other's answer says of the holder. */
function answerBehind(first: AskedClaim, answer: ClaimAnswer, asked: AskedClaim): ClaimAnswer {
  switch (answer.verdict) {
    case 'claimed':
      if (asked.owner === first.owner) return asked.ms === first.ms ? answer : undecided
      return { verdict: 'in_flight', holder: first.owner, leftMs: first.ms }
    case 'in_flight':
      return asked.owner === answer.holder ? undecided : answer
    default:
      return answer
  }
}

function claimAnswerOf({ verdict, detail = '' }: Row): ClaimAnswer {
  switch (verdict) {
    case 'claimed':
      return { verdict, fence: wholeNumber(detail) }
    case 'in_flight': {
      const [holder = '', left] = detail.split(' ')
      return { verdict, holder, leftMs: Math.max(1, wholeNumber(left)) }
    }
    case 'completed':
      return { verdict, fingerprint: detail }
    default:
      throw strangeRows()
  }
}

function changeAnswerOf({ verdict }: Row): ChangeAnswer {
  if (verdict === 'done' || verdict === 'lost') return verdict
  throw strangeRows()
}
