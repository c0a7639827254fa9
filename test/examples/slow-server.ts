/**
 * An example, named in the first argument, whose call log says when it is asked to write and writes
 * when a line is typed.
 */
import { once } from 'node:events'
import { type Call, CallLog, type JournalEntry } from '../../examples/shared/call-log.ts'

class SlowCallLog extends CallLog {
  override async record(entry: JournalEntry, news?: Call): Promise<void> {
    console.log('writing')
    await once(process.stdin, 'data')
    await super.record(entry, news)
    process.stdin.destroy()
  }
}

const [, , framework, secret, file] = process.argv
const { serve } = await import(`../../examples/${framework}/server.ts`)
await serve({ port: 0, secret, file, log: new SlowCallLog(), logger: false })
