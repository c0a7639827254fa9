import { execFileSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { PrismaBetterSqlite3 } from '@prisma/adapter-better-sqlite3'
import { PrismaMariaDb } from '@prisma/adapter-mariadb'
import { PrismaPg } from '@prisma/adapter-pg'
import { afterAll } from 'vitest'
import { prismaMysql, prismaTransaction } from '../../examples/exactly-once/prisma.ts'
import { describeWriters, type Writer } from './writers.ts'

const folder = fileURLToPath(new URL(`../../.tmp/prisma-${process.pid}`, import.meta.url))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describeWriters('Prisma', {
  postgres: ({ url, name }) => {
    const adapter = new PrismaPg({ connectionString: url }, { schema: name })
    return writer('postgresql', adapter, prismaTransaction)
  },
  mysql: ({ url }) => writer('mysql', new PrismaMariaDb(url), prismaMysql),
  sqlite: ({ name }) => {
    const adapter = new PrismaBetterSqlite3({ url: `file:${name}` })
    return writer('sqlite', adapter, prismaTransaction)
  },
})

type Transaction = Parameters<typeof prismaTransaction>[0] & {
  readonly ledger: {
    create(line: { readonly data: { readonly eventId: string } }): Promise<unknown>
  }
}

/** What is used of a client that Prisma generates. */
interface Client {
  $transaction(work: (tx: Transaction) => Promise<void>): Promise<void>
  $disconnect(): Promise<void>
}

async function writer(
  provider: string,
  adapter: object,
  adapted: typeof prismaTransaction | typeof prismaMysql,
): Promise<Writer> {
  const { PrismaClient } = await import(pathToFileURL(generate(provider)).href)
  const prisma: Client = new PrismaClient({ adapter })
  return {
    write: (eventId, complete, failure) =>
      prisma.$transaction(async (tx) => {
        await tx.ledger.create({ data: { eventId } })
        await complete(adapted(tx))
        if (failure !== undefined) throw failure
      }),
    close: () => prisma.$disconnect(),
  }
}

/** Has Prisma generate a client, and gives its file. */
function generate(provider: string): string {
  const home = join(folder, provider)
  mkdirSync(home, { recursive: true })
  const schema = join(home, 'schema.prisma')
  writeFileSync(
    schema,
    `generator client {
      provider = "prisma-client"
      output   = "./generated"
    }
    datasource db {
      provider = "${provider}"
    }
    model Ledger {
      id      Int    @id @default(autoincrement())
      eventId String @map("event_id")
      @@map("ledger")
    }`,
  )
  const manifest = createRequire(import.meta.url).resolve('prisma/package.json')
  const cli = join(dirname(manifest), 'build', 'index.js')
  // Generating needs no engine, and would download one.
  const env = { ...process.env, PRISMA_SCHEMA_ENGINE_BINARY: '/bin/true', CHECKPOINT_DISABLE: '1' }
  execFileSync(process.execPath, [cli, 'generate', '--schema', schema], { env, stdio: 'pipe' })
  return join(home, 'generated', 'client.ts')
}
