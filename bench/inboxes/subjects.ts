import type { Open } from './place.ts'

/** Where a subject's server is found. `undefined`: it needs none. */
export const servers = { sqlite: undefined, bullmq: 'redis', 'pg-boss': 'postgres' } as const

export type SubjectName = keyof typeof servers

export const subjectNames = Object.keys(servers) as readonly SubjectName[]

/** Loads a subject with its own engine, and with none of the others'. */
export async function subjectOf(name: SubjectName): Promise<Open> {
  switch (name) {
    case 'sqlite':
      return (await import('./sqlite.ts')).openSqlite
    case 'bullmq':
      return (await import('./bullmq.ts')).openBullmq
    case 'pg-boss':
      return (await import('./pg-boss.ts')).openPgBoss
  }
}
