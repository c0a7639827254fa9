import Database from 'better-sqlite3'
import { inboxProgram } from '../../src/conformance.ts'
import { sqliteInbox } from '../../src/inboxes/sqlite.ts'

inboxProgram(({ data }) => sqliteInbox(new Database(String(data)), { pollMs: 10 }))
