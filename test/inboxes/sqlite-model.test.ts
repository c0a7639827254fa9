import type { AttemptResult, Inbox } from 'ringhook'
import { sqliteInbox } from 'ringhook/inboxes/sqlite'
import { type ManualClock, manualClock } from 'ringhook/testing'
import { describe, expect, it } from 'vitest'
import { newFile, open, turns } from '../stores/sqlite-files.ts'
import { done, failure, put } from './sqlite-files.ts'

const maxHoldMs = 5_000

/** A run that a worker has begun. */
interface Run {
  readonly id: string
  readonly fence: number
  end(verdict: AttemptResult): void
}

describe('sqliteInbox under any sequence of events', () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'runs all, in order, and forgets none: %i',
    { timeout: 60_000 },
    async (seed) => {
      const random = randomFrom(seed)
      const clock = manualClock(1_000_000)
      const file = newFile()
      const reader = open(file)
      // The second is halted at times: its clock stands still then.
      const clocks = [clock, manualClock(1_000_000)] as const
      const inboxes = clocks.map((own) => sqliteInbox(open(file), { clock: own, leaseMs: 3_000 }))
      const [inbox] = inboxes as [Inbox, Inbox]
      await inbox.migrate()
      const runs = new Set<Run>()
      const faults: unknown[] = []
      const holders = reader.prepare<
        { id: string; now: number },
        { key: string; fence: number; isBefore: number }
      >(`SELECT held.key, held.fence, held.seq < mine.seq AS isBefore
        FROM ringhook_inbox AS mine JOIN ringhook_inbox AS held USING (ordering_key)
        WHERE mine.key = @id AND held.key <> @id AND held.state <> 2
          AND (held.state = 1 OR isBefore) AND (held.hold_until IS NULL OR held.hold_until > @now)`)
      const fenceOf = reader.prepare('SELECT fence FROM ringhook_inbox WHERE key = ?').pluck()
      const start = async (worker: number) =>
        await inboxes[worker]?.start(
          (_, { id }) => {
            // One that was claimed together with this one, after it, has not begun.
            const begun = new Set([...runs].map((run) => `${run.id} ${run.fence}`))
            const now = Number(clocks[worker]?.now())
            const before = holders
              .all({ id, now })
              .filter(({ fence, isBefore, key }) => isBefore === 1 || begun.has(`${key} ${fence}`))
            if (worker === 0 && before.length > 0) faults.push([id, before])
            return new Promise((resolve) => {
              const run: Run = {
                id,
                fence: Number(fenceOf.get(id)),
                end(verdict) {
                  runs.delete(run)
                  resolve(verdict)
                },
              }
              runs.add(run)
            })
          },
          { concurrency: 4, onError: (error) => void faults.push(error) },
        )
      await start(0)
      await start(1)

      const keys: string[] = []
      const any = <Item>(items: Iterable<Item>): Item | undefined => {
        const all = [...items]
        return all[Math.floor(random() * all.length)]
      }
      const steps: readonly (() => unknown)[] = [
        ...Array.from({ length: 5 }, () => () => {
          const order = { key: `call-${Math.floor(random() * 4)}`, maxHoldMs }
          const key = `event-${keys.length}`
          keys.push(key)
          return put(any(inboxes) ?? inbox, key, random() < 0.8 ? order : undefined)
        }),
        ...Array.from({ length: 5 }, () => () => any(runs)?.end(verdictBy(random))),
        () => inbox.replay(any(keys) ?? ''),
        () => inbox.discard(any(keys) ?? ''),
        () => advance([clock, ...(random() < 0.5 ? [clocks[1]] : [])], random() * 4_000),
        () => advance([clocks[1]], clock.now() - clocks[1].now()),
        async () => {
          const worker = Math.floor(random() * 2)
          await inboxes[worker]?.stop()
          await start(worker)
        },
      ]
      for (let step = 0; step < 250; step++) {
        await any(steps)?.()
        if (random() < 0.7) await turns(12)
      }

      // From here on all goes well: whatever is left has to run.
      await inboxes[1]?.stop()
      for (let round = 0; round < 400 && !(await isIdle(inbox)); round++) {
        for (const run of [...runs]) run.end(done)
        await turns(12)
        await advance([clock], 250)
      }
      const stats = await inbox.stats()
      await inbox.stop()
      expect(faults).toEqual([])
      expect(stats).toMatchObject({ waiting: 0, running: 0, delayed: 0 })
      expect(keys.length).toBeGreaterThan(50)
    },
  )
})

async function advance(clocks: readonly ManualClock[], ms: number): Promise<void> {
  for (const clock of clocks) await clock.advance(Math.max(0, Math.round(ms)))
}

async function isIdle(inbox: Inbox): Promise<boolean> {
  const { delayed, running, waiting } = await inbox.stats()
  return waiting + running + delayed === 0
}

function verdictBy(random: () => number): AttemptResult {
  const dice = random()
  const delayMs = Math.round(random() * 4_000)
  if (dice < 0.45) return done
  if (dice < 0.75) return { state: 'retry', delayMs, failure }
  return dice < 0.9 ? { state: 'postponed', delayMs } : { state: 'dead', failure }
}

/** The same numbers for the same seed, from 0 to 1. */
function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return state / 2 ** 32
  }
}
