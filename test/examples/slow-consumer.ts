/**
 * The consumer of an example, named in the first argument, whose call log says when it is asked to
 * write and never does.
 */
import { CallLog } from '../../examples/shared/call-log.ts'

class SilentCallLog extends CallLog {
  override async record(): Promise<void> {
    console.log('writing')
    await new Promise(() => {})
  }
}

const [, , broker, url = '', place = '', file = '', secret] = process.argv
const { serve } = await import(`../../examples/${broker}/consumer.ts`)
await serve({
  ...(broker === 'nats' ? { stream: place, ackWaitMs: 1_000 } : { queue: place }),
  ...{ url, file, secret, log: new SilentCallLog(), leaseMs: 1_000, logger: false },
})
