import type { ServerName } from '../../test/helpers/find-servers.ts'
import type { Subject } from './subject.ts'

/** Where a subject's server is found. `undefined`: it needs none. */
export const servers = {
  memory: undefined,
  'redis, ioredis': 'redis',
  'redis, node-redis': 'redis',
  postgres: 'postgres',
  mysql: 'mysql',
  'sqlite, FULL': undefined,
  'sqlite, NORMAL': undefined,
} as const satisfies Readonly<Record<string, ServerName | undefined>>

export type SubjectName = keyof typeof servers

export const subjectNames = Object.keys(servers) as readonly SubjectName[]

/** Loads a subject with its own driver, and with none of the others'. */
export async function subjectOf(name: SubjectName): Promise<Subject> {
  switch (name) {
    case 'memory':
      return (await import('./memory.ts')).memory
    case 'redis, ioredis':
      return (await import('./redis.ts')).ioredis
    case 'redis, node-redis':
      return (await import('./redis.ts')).nodeRedis
    case 'postgres':
      return (await import('./postgres.ts')).postgres
    case 'mysql':
      return (await import('./mysql.ts')).mysql
    case 'sqlite, FULL':
      return (await import('./sqlite.ts')).sqlite('FULL')
    case 'sqlite, NORMAL':
      return (await import('./sqlite.ts')).sqlite('NORMAL')
  }
}
