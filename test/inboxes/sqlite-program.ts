import Database from 'better-sqlite3'
import { sqliteInbox } from '../../src/inboxes/sqlite.ts'
import { inboxProgram } from '../../src/testing.ts'

inboxProgram(({ data }) => sqliteInbox(new Database(String(data)), { pollMs: 10 }))
