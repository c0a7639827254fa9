import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { inboxContract, storeContract } from 'ringhook/conformance'
import { sqliteInbox } from 'ringhook/inboxes/sqlite'
import { sqliteStore } from 'ringhook/stores/sqlite'

const [, , driver, ...parts] = process.argv
const open = await openerOf(driver)
const folder = mkdtempSync(join(tmpdir(), 'ringhook-consumer-'))
const file = join(folder, 'events.db')
const byOwner = (owner) => ({ owner, leaseMs: 30_000, fingerprint: 'f' })
const retentionMs = 3_600_000

try {
  console.log(
    JSON.stringify({
      version: process.version,
      ...(process.versions.bun && { bun: process.versions.bun }),
      ...(process.versions.deno && { deno: process.versions.deno }),
      brokenRules: await brokenRules(),
      ...(parts.includes('inbox') && { brokenInboxRules: await brokenInboxRules() }),
      transaction: await inTransaction(),
      patience: await patience(),
      failures: await failures(),
    }),
  )
} finally {
  rmSync(folder, { recursive: true })
}

async function openerOf(name) {
  if (name === 'better-sqlite3') {
    const { default: Database } = await import('better-sqlite3')
    return (path, { isReadOnly = false } = {}) => new Database(path, { readonly: isReadOnly })
  }
  if (name === 'bun:sqlite') {
    const { Database } = await import('bun:sqlite')
    return (path, { isReadOnly = false } = {}) =>
      isReadOnly ? new Database(path, { readonly: true }) : new Database(path)
  }
  const { DatabaseSync } = await import('node:sqlite')
  const form = name === 'node:sqlite' ? {} : { readBigInts: true, returnArrays: true }
  return (path, { isReadOnly = false } = {}) =>
    new DatabaseSync(path, { ...form, readOnly: isReadOnly })
}

async function newStore(options) {
  const database = open(file)
  const store = sqliteStore(database, options)
  await store.migrate()
  return { database, store }
}

/** The rules of the contract that do not hold, of all of them. */
async function brokenRules() {
  const rules = []
  storeContract({
    test: (name, run) => rules.push([name, run]),
    create: async ({ clock }) => (await newStore({ clock })).store,
    createNamed: async (table, { clock }) => (await newStore({ clock, table })).store,
  })
  const broken = []
  for (const [name, run] of rules) {
    await run().catch((error) => broken.push(`${name}: ${error}`))
  }
  return rules.length > 40 ? broken : [`only ${rules.length} rules`]
}

/** The rules of the inbox's contract that do not hold. All at once: they wait more than they work. */
async function brokenInboxRules() {
  const rules = []
  const opened = new WeakMap()
  let files = 0
  const openInbox = (path) => {
    const database = open(path)
    const inbox = sqliteInbox(database, { pollMs: 5 })
    opened.set(inbox, { path, database })
    return inbox
  }
  const change = (inbox, sql, id) => {
    const database = open(opened.get(inbox).path)
    database.prepare(sql).run(id)
    database.close()
  }
  const begin = (inbox) => {
    const transaction = open(opened.get(inbox).path)
    transaction.exec('BEGIN IMMEDIATE')
    const end = (sql) => {
      transaction.exec(sql)
      transaction.close()
    }
    return { transaction, commit: () => end('COMMIT'), rollback: () => end('ROLLBACK') }
  }
  inboxContract({
    test: (name, run) => rules.push([name, run]),
    keepsOrder: true,
    patienceMs: 60_000,
    create: async () => {
      const inbox = openInbox(join(folder, `inbox-${files++}.db`))
      await inbox.migrate()
      return inbox
    },
    reopen: (inbox) => openInbox(opened.get(inbox).path),
    close: (inbox) => opened.get(inbox).database.close(),
    loseLease: (inbox, id) =>
      change(inbox, 'UPDATE ringhook_inbox SET due_at = 1 WHERE key = ? AND state = 1', id),
    corrupt: (inbox, id) =>
      change(inbox, `UPDATE ringhook_inbox SET delivery = '{"version' WHERE key = ?`, id),
    begin: saysOfTransactions() ? begin : undefined,
  })
  const broken = []
  await Promise.all(
    rules.map(([name, run]) => run().catch((error) => broken.push(`${name}: ${error}`))),
  )
  return rules.length > 40 ? broken : [`only ${rules.length} rules`]
}

/** The first versions of node:sqlite do not say whether a transaction is open on a connection. */
function saysOfTransactions() {
  const database = open(file)
  const isSaid = (database.inTransaction ?? database.isTransaction) !== undefined
  database.close()
  return isSaid
}

/** What complete() in a transaction of the user comes to: rolled back, committed, and without one. */
async function inTransaction() {
  const { database, store } = await newStore()
  const claim = await store.claim('in a transaction', byOwner('a'))
  const other = open(file)
  const found = []
  for (const [connection, end] of [
    [database, 'ROLLBACK'],
    [other, 'ROLLBACK'],
    [other, 'COMMIT'],
  ]) {
    connection.exec('BEGIN')
    found.push(store.complete(claim, { retentionMs, transaction: connection }))
    connection.exec(end)
    found.push((await store.claim('in a transaction', byOwner('b'))).state)
  }
  try {
    store.complete(claim, { retentionMs, transaction: other })
  } catch (error) {
    found.push(error.code)
  }
  return found
}

/** What claims come to that meet a transaction on their connection, and a lock of another one. */
async function patience() {
  const { database, store } = await newStore()
  const found = []
  for (const connection of [database, open(file)]) {
    connection.exec('BEGIN IMMEDIATE')
    const claiming = store.claim(`key-${found.length}`, byOwner('a'))
    for (let turn = 0; turn < 100; turn++) await new Promise((resolve) => setImmediate(resolve))
    connection.exec('ROLLBACK')
    found.push((await claiming).state)
  }
  return found
}

/** The codes of what can be wrong, and what comes after it. */
async function failures() {
  const { database, store } = await newStore()
  const answerOf = (claiming) =>
    claiming.claim('key', byOwner('a')).then(
      ({ state }) => state,
      ({ code }) => code,
    )
  const found = [
    await answerOf(sqliteStore(open(file, { isReadOnly: true }))),
    await answerOf(sqliteStore(database, { table: 'missing' })),
  ]
  database.close()
  found.push(await answerOf(store))
  // A database of better-sqlite3 cannot be opened again.
  if (typeof database.open === 'function') {
    database.open()
    found.push(await answerOf(store))
  }
  return found
}
