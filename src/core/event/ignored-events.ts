import { hash } from 'node:crypto'
import { type Logger, printable } from '../log.ts'
import { type Answer, ignored } from '../outcome/answers.ts'
import type { ReadEvent } from './read-event.ts'

/** Names that are warned of once: whoever knows the secret could send new ones for ever. */
const most = 100

/** Returns what answers events that nobody handles, and warns once of each name that nobody documents. */
export function ignorer(provider: string, logger: Logger): (read: ReadEvent) => Answer {
  // Hashes, because a name may be as long as a body.
  const unheard = new Set<string>()
  return function ignore({ sentAs, schema }) {
    if (schema !== undefined) return ignored
    if (unheard.size < most) {
      const name = hash('sha256', sentAs, 'base64')
      if (unheard.has(name)) return { ...ignored, undocumented: true }
      unheard.add(name)
      logger.warn(
        `ringhook ${provider}: "${printable(sentAs)}" is no documented event and was ignored. To receive it add its schema to events, or a "*" handler.`,
      )
    }
    return { ...ignored, undocumented: true }
  }
}
