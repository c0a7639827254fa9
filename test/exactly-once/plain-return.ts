import { fileURLToPath } from 'node:url'
import type { HandlerContext } from 'ringhook'
import { openLedger, serve } from '../../examples/exactly-once/server.ts'
import { runProgram } from '../../examples/shared/program.ts'

/** This file, to be started. */
export const plainReturn = fileURLToPath(import.meta.url)

/** The program of the guide with a fault: the line is committed without the mark. */
await runProgram(import.meta.url, async () => {
  const ledger = await openLedger(process.argv[2] ?? '')
  const { store } = ledger
  const unmarked: Pick<HandlerContext, 'transaction'> = {
    transaction: <Transaction, Result>(work: (given: Transaction) => Result | Promise<Result>) =>
      store.transaction?.((given) => work(given as Transaction)) ??
      Promise.reject(new Error('the store has no transactions')),
  }
  await serve({
    port: 0,
    secret: process.env['KROSAI_WEBHOOK_SECRET'],
    ledger: { ...ledger, record: (line) => ledger.record(line, unmarked) },
  })
})
