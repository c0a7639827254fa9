import type { StoreCode } from '../core/errors.ts'
import { codeOf, socketFailureOf } from './failures.ts'

/** By SQLSTATE and by the codes of postgres.js; a class of SQLSTATEs is its first two characters. */
const kinds: Readonly<Record<string, StoreCode>> = {
  '42P01': 'RINGHOOK_STORE_NOT_MIGRATED',
  '42703': 'RINGHOOK_STORE_NOT_MIGRATED',
  '42804': 'RINGHOOK_STORE_NOT_MIGRATED',
  '42809': 'RINGHOOK_STORE_NOT_MIGRATED',
  '42883': 'RINGHOOK_STORE_NOT_MIGRATED',
  '42P10': 'RINGHOOK_STORE_NOT_MIGRATED',
  '3F000': 'RINGHOOK_STORE_NOT_MIGRATED',
  '23502': 'RINGHOOK_STORE_NOT_MIGRATED',
  '28': 'RINGHOOK_STORE_ACCESS_DENIED',
  '3D000': 'RINGHOOK_STORE_ACCESS_DENIED',
  '42501': 'RINGHOOK_STORE_ACCESS_DENIED',
  '25006': 'RINGHOOK_STORE_READ_ONLY',
  '53100': 'RINGHOOK_STORE_FULL',
  '53200': 'RINGHOOK_STORE_FULL',
  '53': 'RINGHOOK_STORE_BUSY',
  '40': 'RINGHOOK_STORE_BUSY',
  '55P03': 'RINGHOOK_STORE_BUSY',
  '57014': 'RINGHOOK_STORE_TIMEOUT',
  '57P': 'RINGHOOK_STORE_UNREACHABLE',
  '08': 'RINGHOOK_STORE_UNREACHABLE',
  '25P03': 'RINGHOOK_STORE_UNREACHABLE',
  CONNECT_TIMEOUT: 'RINGHOOK_STORE_TIMEOUT',
  CONNECTION_CLOSED: 'RINGHOOK_STORE_UNREACHABLE',
  CONNECTION_DESTROYED: 'RINGHOOK_STORE_UNREACHABLE',
  CONNECTION_ENDED: 'RINGHOOK_STORE_UNREACHABLE',
}

/** What node-postgres says in words only, in the versions 8. */
const words: readonly (readonly [RegExp, StoreCode])[] = [
  [/^timeout exceeded when trying to connect/, 'RINGHOOK_STORE_BUSY'],
  [/^Connection terminated due to connection timeout|^timeout expired/, 'RINGHOOK_STORE_TIMEOUT'],
  [/^Query read timeout/, 'RINGHOOK_STORE_TIMEOUT'],
  [/^Connection terminated|not queryable$|^PGlite is clos/, 'RINGHOOK_STORE_UNREACHABLE'],
  [/^Cannot use a pool after calling end/, 'RINGHOOK_STORE_UNREACHABLE'],
  // A password that is missing on the client's side.
  [/^SASL:|password must be a string/, 'RINGHOOK_STORE_ACCESS_DENIED'],
]

/** What an error of PostgreSQL or of a driver means. That of an ORM has the driver's as its cause. */
export function postgresFailureOf(error: unknown): StoreCode {
  let link = error
  for (let depth = 0; depth < 4 && link instanceof Error; depth++) {
    const kind = kindOfCode(codeOf(link)) ?? socketFailureOf(link) ?? kindOfWords(link.message)
    if (kind !== undefined) return kind
    link = link.cause
  }
  return 'RINGHOOK_STORE_FAILED'
}

function kindOfCode(code: string | undefined): StoreCode | undefined {
  if (code === undefined) return undefined
  return kinds[code] ?? kinds[code.slice(0, 3)] ?? kinds[code.slice(0, 2)]
}

function kindOfWords(message: string): StoreCode | undefined {
  return words.find(([pattern]) => pattern.test(message))?.[1]
}
