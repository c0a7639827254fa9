import { type BigIntStats, lstatSync, statSync } from 'node:fs'
import { resolve } from 'node:path'
import type { RinghookError } from '../../core/errors.ts'
import { storeFailure } from '../failures.ts'
import { columnsOf, type SqliteDatabase, type SqliteStatement } from './database.ts'

/** What is at a path. `hidden`: the process may not look, such as after it gave up its rights. */
type Found = BigIntStats | 'nothing' | 'hidden'

/** A file of the database, and what was at its path when SQLite opened it. */
interface Part {
  readonly path: string
  opened: Found
}

interface Opened {
  /** The database itself: its path has links in it, which may be made to lead elsewhere. */
  readonly main: Part
  /** The same file at the end of those links, beside which its log is: never a link itself. */
  readonly end: Part
  /** The write-ahead log and its index. They come with the first transaction in WAL mode. */
  readonly beside: readonly Part[]
  /** Ends with the connection. */
  readonly probe: SqliteStatement
  /** As it was before the last transaction, while it had bytes in it. */
  latest: Found
}

/**
 * The file behind a connection, compared with what is at its path. SQLite keeps writing to a file
 * that was deleted, moved or replaced, and to a write-ahead log that was, and reports success: what
 * is committed then is gone when the process ends.
 *
 * The file is never opened here: closing it again would drop the locks that SQLite holds on it.
 */
export class SqliteFile {
  readonly #database: SqliteDatabase
  readonly #name: string
  #opened: Opened | undefined

  constructor(database: SqliteDatabase, name: string) {
    this.#database = database
    this.#name = name
    this.#opened = openedBy(database)
  }

  /**
   * Drops the pages that SQLite has cached if the file has changed since the last call. In WAL mode
   * SQLite trusts its cache, even if another file was copied over this one, and would go on from
   * pages that are no longer there. A checkpoint changes the file too, at the cost of some reads.
   */
  refresh(): void {
    const opened = this.#opened
    if (opened === undefined) return
    const now = lookAt(opened.main.path)
    if (isEmptied(now, opened.latest)) return
    if (hasChanged(now, opened.latest)) this.#database.exec('PRAGMA shrink_memory')
    opened.latest = now
  }

  /**
   * For after a commit, before anything is told of it.
   *
   * @throws {RinghookError} RINGHOOK_STORE_FILE_REPLACED
   */
  check(): void {
    if (this.#isGone()) throw storeFailure(this.#name, 'RINGHOOK_STORE_FILE_REPLACED')
  }

  /** The reason for a failure, which may be that the file is gone: SQLite has many words for that. */
  explain(failure: RinghookError): RinghookError {
    if (failure.code === 'RINGHOOK_STORE_FILE_REPLACED' || !this.#isGone()) return failure
    return storeFailure(this.#name, 'RINGHOOK_STORE_FILE_REPLACED', failure.cause)
  }

  #isGone(): boolean {
    this.#opened ??= openedBy(this.#database)
    if (this.#opened === undefined || this.#isInPlace(this.#opened)) return false
    if (isOpen(this.#opened)) return true
    // The connection was closed, or opened again and may be on another file by right.
    this.#opened = openedBy(this.#database)
    return false
  }

  #isInPlace({ main, end, beside, latest }: Opened): boolean {
    const found = lookAt(main.path)
    if (main.opened === 'nothing' || isAnother(found, main.opened)) return false
    if (isEmptied(found, latest) || isAnother(lookAt(end.path, lstatSync), end.opened)) return false
    for (const part of beside) {
      const log = lookAt(part.path)
      if (part.opened === 'nothing') part.opened = log
      if (!isAnother(log, part.opened)) continue
      if (usesLog(this.#database)) return false
      // The user has switched to another journal mode.
      part.opened = log
    }
    return true
  }
}

/** Looks up the file of a connection. `undefined`: it is in memory, or cannot be asked. */
function openedBy(database: SqliteDatabase): Opened | undefined {
  try {
    const probe = database.prepare('PRAGMA database_list')
    const file = mainFile(probe)
    if (file === '') return undefined
    const path = pathGivenFor(database, file)
    const end: Part = { path: file, opened: lookAt(file, lstatSync) }
    const main: Part = { path, opened: lookAt(path) }
    const beside = ['-wal', '-shm'].map(
      (suffix): Part => ({ path: file + suffix, opened: 'nothing' }),
    )
    return { main, end, beside, probe, latest: main.opened }
  } catch {
    // It is closed, or not opened yet.
    return undefined
  }
}

function mainFile(list: SqliteStatement): string {
  const main = list
    .all()
    .map(columnsOf)
    .find(([, schema]) => schema === 'main')
  return String(main?.[2] ?? '')
}

/**
 * The path that the database was opened with, if the driver still has it and it leads to the file.
 * SQLite itself has only the path at the end of all links.
 */
function pathGivenFor(database: SqliteDatabase, file: string): string {
  const { name, filename } = database as { readonly name?: unknown; readonly filename?: unknown }
  const given = name ?? filename
  if (typeof given !== 'string' || given === '') return file
  // Now, and not at each look: the process may change its directory.
  const path = resolve(given)
  const found = lookAt(path)
  return typeof found === 'object' && !isAnother(found, lookAt(file)) ? path : file
}

function lookAt(path: string, look: typeof lstatSync = statSync): Found {
  try {
    // As bigints: an inode may have 64 bits.
    return look(path, { bigint: true, throwIfNoEntry: false }) ?? 'nothing'
  } catch {
    return 'hidden'
  }
}

/** Whether all bytes of the database were cut off, which SQLite itself never does. */
function isEmptied(now: Found, before: Found): boolean {
  return (
    typeof now === 'object' && typeof before === 'object' && now.size === 0n && before.size > 0n
  )
}

/** SQLite has its file open, so that the inode is not given to another one. */
function isAnother(found: Found, known: Found): boolean {
  if (found === 'hidden' || known === 'hidden') return false
  if (found === 'nothing' || known === 'nothing') return found !== known
  return found.ino !== known.ino || found.dev !== known.dev
}

function hasChanged(now: Found, before: Found): boolean {
  if (typeof now === 'string' || typeof before === 'string') return now !== before
  return now.mtimeNs !== before.mtimeNs || now.size !== before.size
}

function usesLog(database: SqliteDatabase): boolean {
  try {
    return columnsOf(database.prepare('PRAGMA journal_mode').get())[0] === 'wal'
  } catch {
    // The file is too damaged to say.
    return true
  }
}

function isOpen({ probe }: Opened): boolean {
  try {
    probe.all()
    return true
  } catch {
    return false
  }
}
