import { codeOf, ended, type Meaning, socketFailureOf } from './failures.ts'

const busy = (explanation: string): Meaning => ({ code: 'RINGHOOK_STORE_BUSY', explanation })
const timeout = (explanation: string): Meaning => ({ code: 'RINGHOOK_STORE_TIMEOUT', explanation })
const unreachable = (explanation?: string): Meaning => ({
  code: 'RINGHOOK_STORE_UNREACHABLE',
  ...(explanation !== undefined && { explanation }),
})
const notMigrated: Meaning = { code: 'RINGHOOK_STORE_NOT_MIGRATED' }
const accessDenied: Meaning = { code: 'RINGHOOK_STORE_ACCESS_DENIED' }
const full: Meaning = { code: 'RINGHOOK_STORE_FULL' }

const notConnected = unreachable(
  'was given a Client of pg that is not connected: it queues every query, and sends none. Call client.connect() before migrate() and the first delivery, or give a Pool.',
)
const connectionLost = unreachable(
  'has a client of pg that lost its connection, or never got one. A transaction on it is rolled back. A Pool connects again; a single Client makes no new one. Give it a Pool instead of a Client, or start the process again.',
)
const sessionEnded = unreachable(
  'lost its connection: the server ended it because a transaction stayed open or idle for too long (transaction_timeout, idle_in_transaction_session_timeout, idle_session_timeout). Keep transactions short, and commit or roll back before you wait for anything else.',
)
const statementStopped = timeout(
  'had a statement stopped by its server: it ran for longer than statement_timeout, or an administrator cancelled it. Look for locks on the table, such as those of a migration, and for the load of the server; or raise statement_timeout for this user.',
)
const noAnswerForClient = timeout(
  'got no answer within the query_timeout of its client. Look for locks on the table and for the load of the server; or raise query_timeout.',
)
const connectingTooLong = timeout(
  'got no connection within the connection timeout of its client. Check the network, the host and the port, and the load of the server.',
)
const lockedForTooLong = busy(
  'waited for a lock for longer than lock_timeout. Look for transactions that were left open, and for migrations that lock the table.',
)
const lostToOthers = busy(
  'lost to other transactions each time that it tried. Where default_transaction_isolation is serializable or repeatable read, give the store or inbox a pool with read committed.',
)
const tooManyConnections = busy(
  'gets no connection: the server, the role or the database has as many as it may. Lower the number of connections in your pools, or raise max_connections.',
)
const poolIsFull = busy(
  'got no connection from its pool in time: all are taken. Give the pool more connections than handlers run at once, or the store or inbox a pool of its own.',
)
const noDatabase: Meaning = {
  ...accessDenied,
  explanation:
    'does not find its database: the server has none of the name that its client was given. Create it, or check the name in the connection string.',
}
const noPermission: Meaning = {
  ...accessDenied,
  explanation:
    'lacks a permission on its schema or table. Grant its user what the page of the store or inbox lists.',
}

/** By SQLSTATE and by the codes of postgres.js; a class of SQLSTATEs is its first two characters. */
const meanings: Readonly<Record<string, Meaning>> = {
  '42P01': notMigrated,
  '42703': notMigrated,
  '42804': notMigrated,
  '42809': notMigrated,
  '42883': notMigrated,
  '42P10': notMigrated,
  '3F000': notMigrated,
  '23502': notMigrated,
  '28': accessDenied,
  '3D000': noDatabase,
  '42501': noPermission,
  '25006': { code: 'RINGHOOK_STORE_READ_ONLY' },
  '53100': full,
  '53200': full,
  '53300': tooManyConnections,
  '53': { code: 'RINGHOOK_STORE_BUSY' },
  '40': lostToOthers,
  '55P03': lockedForTooLong,
  '57014': statementStopped,
  '57P05': sessionEnded,
  '57P': unreachable(),
  '08': unreachable(),
  '25P03': sessionEnded,
  '25P04': sessionEnded,
  CONNECT_TIMEOUT: connectingTooLong,
  CONNECTION_CLOSED: unreachable(),
  CONNECTION_DESTROYED: unreachable(ended),
  CONNECTION_ENDED: unreachable(ended),
}

/** What node-postgres and PGlite say in words only, in the versions 8 and 0.5. */
const words: readonly (readonly [RegExp, Meaning])[] = [
  [/^timeout exceeded when trying to connect/, poolIsFull],
  [/^Connection terminated due to connection timeout|^timeout expired/, connectingTooLong],
  [/^Query read timeout/, noAnswerForClient],
  [/^Cannot use a pool after calling end|^Client was closed|^PGlite is clos/, unreachable(ended)],
  [/^Client has encountered a connection error/, connectionLost],
  [/^Connection terminated|not queryable$/, unreachable()],
  // A password that is missing on the client's side.
  [/^SASL:|password must be a string/, accessDenied],
]

/** What an error of PostgreSQL or of a driver means. That of an ORM has the driver's as its cause. */
export function postgresFailureOf(error: unknown): Meaning {
  let link = error
  for (let depth = 0; depth < 4 && link instanceof Error; depth++) {
    const code = socketFailureOf(link)
    const meaning =
      meaningOfCode(codeOf(link)) ?? (code && { code }) ?? meaningOfWords(link.message)
    if (meaning !== undefined) return meaning
    link = link.cause
  }
  return { code: 'RINGHOOK_STORE_FAILED' }
}

/**
 * What keeps a lone Client of `pg` from sending anything, if something does: until `connect()` is
 * called it queues what it is asked, without an end and without a word. It has no public sign for
 * that; one whose fields have other names is asked as before.
 */
export function obstacleOf(client: object): Meaning | undefined {
  const { _connected, _connecting, _ended, _ending } = client as Readonly<Record<string, unknown>>
  if (_ending === true) return unreachable(ended)
  if (_ended === true) return connectionLost
  return _connected === false && _connecting === false ? notConnected : undefined
}

function meaningOfCode(code: string | undefined): Meaning | undefined {
  if (code === undefined) return undefined
  return meanings[code] ?? meanings[code.slice(0, 3)] ?? meanings[code.slice(0, 2)]
}

function meaningOfWords(message: string): Meaning | undefined {
  return words.find(([pattern]) => pattern.test(message))?.[1]
}
