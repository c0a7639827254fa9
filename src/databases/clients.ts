/** Clients that can be told apart by what they have, whoever bundled or subclassed them. */
export type ClientKind = keyof typeof kinds

interface Kind {
  /** With its article, for messages. */
  readonly name: string
  /** Names of methods that together only it has. */
  readonly methods?: readonly string[]
  /** Names of other properties that it has. */
  readonly properties?: readonly string[]
  /** Names of methods that others with the same ones have, and it has not. */
  readonly lacks?: readonly string[]
  /** Where the client that was wanted may be found in it. */
  readonly hint?: string
}

/** The first that fits counts. What only wraps a client, such as an ORM, comes before the client. */
const kinds = {
  prisma: { name: 'a PrismaClient', methods: ['$connect', '$queryRawUnsafe'] },
  drizzle: {
    name: 'a database of Drizzle',
    methods: ['$with', 'select'],
    hint: 'Its own client is at db.$client.',
  },
  kysely: { name: 'a Kysely', methods: ['selectFrom', 'insertInto'] },
  knex: { name: 'a Knex', methods: ['raw', 'transactionProvider'] },
  dataSource: { name: 'a DataSource of TypeORM', methods: ['createQueryRunner', 'getRepository'] },
  entityManager: {
    name: 'an EntityManager of TypeORM',
    methods: ['getRepository', 'createQueryBuilder'],
  },
  queryRunner: { name: 'a QueryRunner of TypeORM', methods: ['startTransaction', 'getTable'] },
  sequelize: { name: 'a Sequelize', methods: ['define', 'authenticate', 'getQueryInterface'] },
  mikroOrm: { name: 'a MikroORM', methods: ['isConnected', 'connect'], properties: ['em'] },
  pgPromise: {
    name: 'a database of pg-promise',
    methods: ['oneOrNone', 'manyOrNone'],
    hint: 'Its Pool of pg is at db.$pool.',
  },
  slonik: { name: 'a pool of Slonik', methods: ['oneFirst', 'anyFirst'] },
  postgresJs: {
    name: 'a sql function of postgres.js',
    methods: ['unsafe', 'begin'],
    hint: 'docs/stores/postgres.md has the wrapper for it.',
  },
  neon: { name: 'a query function of @neondatabase/serverless', methods: ['unsafe', 'query'] },
  pg: { name: 'a Pool of pg', methods: ['connect', 'query'], properties: ['totalCount'] },
  pgClient: { name: 'a Client of pg', methods: ['query'], properties: ['connectionParameters'] },
  pglite: { name: 'a PGlite', methods: ['query', 'execProtocolRaw'] },
  mariadb: { name: 'a client of mariadb', methods: ['query', 'batch', 'importFile'] },
  mysql2: { name: 'a client of mysql2', methods: ['query', 'promise'] },
  mysql2Promise: {
    name: 'a client of mysql2/promise',
    methods: ['query', 'execute', 'escapeId'],
  },
  mysql: {
    name: 'a client of mysql, which is another package than mysql2',
    methods: ['query', 'escapeId'],
  },
  upstash: {
    name: 'a client of @upstash/redis, which speaks HTTP',
    methods: ['evalshaRo', 'eval'],
  },
  nodeRedis: { name: 'a client of redis (node-redis)', methods: ['evalSha', 'eval'] },
  nodeRedis3: {
    name: 'a client of redis (node-redis) 3 or older, whose answers come by callbacks',
    methods: ['internal_send_command', 'evalsha'],
  },
  ioredis: { name: 'a client of ioredis', methods: ['evalsha', 'defineCommand', 'duplicate'] },
  sqlite3: {
    name: 'a database of sqlite3, whose answers come by callbacks',
    methods: ['prepare', 'parallelize'],
  },
  sqliteWrapper: {
    name: 'a database of sqlite, whose answers come by promises',
    methods: ['prepare', 'getDatabaseInstance'],
  },
  sqlJs: { name: 'a database of sql.js', methods: ['prepare', 'getRowsModified'] },
  d1: {
    name: 'a D1 database of Cloudflare',
    methods: ['prepare', 'batch', 'exec'],
    lacks: ['transaction'],
  },
  libsql: { name: 'a client of @libsql/client', methods: ['executeMultiple', 'batch'] },
  betterSqlite3: { name: 'a database of better-sqlite3', methods: ['prepare', 'pragma', 'exec'] },
  sqlite: {
    name: 'a database of node:sqlite',
    methods: ['prepare', 'exec', 'close', 'createSession'],
  },
  bullmqQueue: { name: 'a Queue of BullMQ', methods: ['toKey', 'getJobCounts', 'add'] },
  bullmqWorker: { name: 'a Worker of BullMQ', methods: ['toKey', 'getNextJob'] },
  pgBoss: { name: 'a pg-boss', methods: ['createQueue', 'fetch', 'send'] },
  store: { name: 'a store of ringhook', methods: ['claim', 'complete', 'release'] },
  inbox: { name: 'an inbox of ringhook', methods: ['put', 'replay', 'discard'] },
  mongo: { name: 'a client of MongoDB', methods: ['startSession'] },
  promise: { name: 'a promise: wait for it first', methods: ['then'] },
} as const satisfies Readonly<Record<string, Kind>>

/** Tells whose client something is, or `undefined`. Never throws, whatever a proxy does. */
export function clientKindOf(client: unknown): ClientKind | undefined {
  for (const [key, kind] of Object.entries(kinds) as [ClientKind, Kind][]) {
    const { methods = [], properties = [], lacks = [] } = kind
    const isIt =
      methods.every((name) => isMethod(client, name)) &&
      properties.every((name) => isPresent(client, name)) &&
      !lacks.some((name) => isMethod(client, name))
    if (isIt) return key
  }
  return undefined
}

/** Says what a factory was given, for its message: without a value, which may be a URL with a password. */
export function whatWasGiven(client: unknown): string {
  const kind = clientKindOf(client)
  if (kind !== undefined) {
    const { name, hint }: Kind = kinds[kind]
    return hint === undefined ? `${name}.` : `${name}. ${hint}`
  }
  if (client === null || client === undefined) return `${client}.`
  if (typeof client === 'string') return 'a string, and not a client.'
  if (isClass(client)) return 'a class, and not an instance of it.'
  if (typeof client === 'function') return 'a function, and not a client.'
  return typeof client === 'object' ? 'an object of another kind.' : `a ${typeof client}.`
}

/** Whether something has a method of this name. A proxy that throws has none. */
export function isMethod(value: unknown, name: string): boolean {
  try {
    return (
      typeof (value as Readonly<Record<string, unknown>> | null | undefined)?.[name] === 'function'
    )
  } catch {
    return false
  }
}

function isPresent(value: unknown, name: string): boolean {
  try {
    return (
      value !== null && (typeof value === 'object' || typeof value === 'function') && name in value
    )
  } catch {
    return false
  }
}

function isClass(value: unknown): boolean {
  try {
    return typeof value === 'function' && /^class\b/.test(Function.prototype.toString.call(value))
  } catch {
    return false
  }
}
