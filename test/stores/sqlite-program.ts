import Database from 'better-sqlite3'
import { sqliteStore } from '../../src/stores/sqlite.ts'
import { storeProgram } from '../../src/testing.ts'

storeProgram(({ clock, data }) => sqliteStore(new Database(String(data)), { clock }))
