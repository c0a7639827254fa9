import type { PersistentStore } from '../../src/stores/store.ts'
import type { Journal } from '../journal.ts'

export type StoreName = 'redis' | 'postgres' | 'mysql' | 'sqlite'

/** Where one run keeps its data, apart from everything else in the database. */
export interface Place {
  /** Of the server; of SQLite, a folder. */
  readonly url: string
  /** Of the table, or the prefix of the keys. Drawn for each run. */
  readonly name: string
}

/** A store on a client of its own. */
export interface OpenStore {
  readonly store: PersistentStore
  close(): Promise<void>
}

/** What a run needs to know of a database. */
export interface Backend {
  /** Opens the store as an application would. `slot`: which worker, where there are several drivers. */
  openStore(place: Place, slot: number): Promise<OpenStore>
  /** Opens the journal, over a connection that no fault touches. */
  openJournal(place: Place): Promise<Journal>
  /** Deletes what the run left behind. */
  erase(place: Place): Promise<void>
}

/** The backend with this name: each loads its driver only when it is used. */
export async function backendOf(store: StoreName): Promise<Backend> {
  switch (store) {
    case 'redis':
      return (await import('./redis.ts')).redis
    case 'postgres':
      return (await import('./postgres.ts')).postgres
    case 'mysql':
      return (await import('./mysql.ts')).mysql
    case 'sqlite':
      return (await import('./sqlite.ts')).sqlite
  }
}
