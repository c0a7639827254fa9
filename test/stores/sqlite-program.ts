import Database from 'better-sqlite3'
import { storeProgram } from '../../src/conformance.ts'
import { sqliteStore } from '../../src/stores/sqlite.ts'

storeProgram(({ clock, data }) => sqliteStore(new Database(String(data)), { clock }))
