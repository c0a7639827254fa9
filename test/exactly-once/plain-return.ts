import { fileURLToPath } from 'node:url'
import { openLedger, serve } from '../../examples/exactly-once/server.ts'
import { runProgram } from '../../examples/shared/program.ts'

/** This file, to be started. */
export const plainReturn = fileURLToPath(import.meta.url)

/** The program of the guide with a fault: the line is committed without the mark. */
await runProgram(import.meta.url, async () => {
  const ledger = await openLedger(process.argv[2] ?? '')
  await serve({
    port: 0,
    secret: process.env['KROSAI_WEBHOOK_SECRET'],
    ledger: { ...ledger, record: (line) => ledger.record(line, { complete: async () => {} }) },
  })
})
