import { appendFile, readFile } from 'node:fs/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type { HandlerContext } from 'ringhook'

/** A line of the journal: an event that was handled, and what it was about. */
export interface JournalEntry {
  readonly eventId: string
  readonly type: string
  readonly callId?: string
  readonly seconds?: number
}

/** How the journal is today: `slow` takes 20 s for a line, and `down` takes none. */
export type Mood = 'well' | 'slow' | 'down'

/** What the handlers write: a file with a line of JSON for each event, for all processes to see. */
export class Journal {
  readonly #file: string
  readonly #mood: Mood

  constructor(file: string, mood: Mood) {
    this.#file = file
    this.#mood = mood
  }

  async write(
    entry: JournalEntry,
    { attempt, signal }: Pick<HandlerContext, 'attempt' | 'signal'>,
  ): Promise<void> {
    console.log(`${entry.type} ${entry.eventId}: attempt ${attempt} begins`)
    if (this.#mood === 'slow') await sleep(20_000, undefined, { signal })
    if (this.#mood === 'down') throw new Error('the journal is down')
    await appendFile(this.#file, `${JSON.stringify(entry)}\n`)
  }

  async read(): Promise<readonly JournalEntry[]> {
    const text = await readFile(this.#file, 'utf8').catch(() => '')
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
  }
}
