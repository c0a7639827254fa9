import type { Server } from 'node:http'
import { fileURLToPath } from 'node:url'
import { createReceiver, krosai, type Outcome } from 'ringhook'
import { closingTimes, endServer, UsageError } from '../shared/program.ts'
import { open } from './inbox.ts'
import { Journal, type Mood } from './journal.ts'

/** Opens what the web program, the worker and the operator's program have in common. */
export async function openReceiver(env = process.env) {
  const leaseMs = Number(env['RINGHOOK_LEASE_MS'] ?? 30_000)
  const journal = new Journal(
    env['JOURNAL_FILE'] ?? fileURLToPath(new URL('journal.jsonl', import.meta.url)),
    readMood(env['JOURNAL']),
  )
  const { inbox, store, close } = await open({
    name: env['RINGHOOK_NAME'] ?? 'krosai_webhooks',
    leaseMs,
  })
  try {
    const receiver = createReceiver(krosai, {
      secret: env['KROSAI_WEBHOOK_SECRET'],
      inbox,
      store,
      leaseMs,
      // Dead within seconds, to be seen. By default there are 15, in one and a half to three hours.
      retry: { maxAttempts: 4, initialDelayMs: 500 },
      onOutcome: print,
      on: {
        'call.completed': ({ id, type, data }, context) =>
          journal.write(
            { eventId: id, type, callId: data.call_id, seconds: data.duration },
            context,
          ),
        '*': ({ id, type }, context) => journal.write({ eventId: id, type }, context),
      },
    })
    return {
      receiver,
      journal,
      /** Lets handlers finish. What still runs after 10 s goes back to the inbox. */
      async close(server?: Server) {
        await receiver.close(closingTimes())
        if (server !== undefined) await endServer(server)
        await close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

/** A line for each delivery, and one for each attempt. */
function print({ type, eventId, outcome, status, attempt, next, nextInMs }: Outcome): void {
  const pause = nextInMs === undefined ? '' : ` in ${nextInMs} ms`
  const what = next === undefined ? status : `attempt ${attempt}`
  const then = next === undefined ? '' : `, ${next}${pause}`
  console.log(`${type} ${eventId}: ${what} ${outcome}${then}`)
}

function readMood(mood = 'well'): Mood {
  if (mood === 'well' || mood === 'slow' || mood === 'down') return mood
  throw new UsageError(`JOURNAL is "${mood}". Set it to slow or down, or to nothing.`)
}
