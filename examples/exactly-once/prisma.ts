/** What `prisma.$transaction(async (tx) => …)` hands over, as far as it is needed here. */
interface PrismaTransaction {
  $queryRawUnsafe(query: string, ...values: unknown[]): Promise<unknown>
  $executeRawUnsafe(query: string, ...values: unknown[]): Promise<number>
}

/** A transaction of Prisma on Postgres or SQLite, for context.complete(). */
export function prismaTransaction(tx: PrismaTransaction) {
  return {
    query: async (text: string, values: readonly unknown[]) => ({
      rows: await tx.$queryRawUnsafe(text, ...values),
    }),
  }
}

/** A transaction of Prisma on MySQL, for context.complete(). */
export function prismaMysql(tx: PrismaTransaction) {
  return {
    query: async (text: string, values: readonly unknown[]) =>
      /^\s*(?:select|with)\b/i.test(text)
        ? [await tx.$queryRawUnsafe(text, ...values)]
        : [{ affectedRows: await tx.$executeRawUnsafe(text, ...values) }],
  }
}
