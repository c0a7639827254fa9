import { hash } from 'node:crypto'
import type { Delivery } from '../delivery.ts'
import { type Logger, printable } from '../log.ts'
import { type Answer, ignored } from '../outcome/answers.ts'

/** How many names are warned about, once each: a sender with the secret could invent new ones forever. */
const most = 100

/** Returns a function that answers events without a handler, and warns once about each undocumented name. */
export function ignorer(provider: string, logger: Logger): (delivery: Delivery) => Answer {
  // Hashes, because a name may be as long as a body.
  const unheard = new Set<string>()
  return function ignore({ sentAs, route }) {
    if (route?.schema !== undefined) return ignored
    if (unheard.size < most) {
      const name = hash('sha256', sentAs, 'base64')
      if (unheard.has(name)) return { ...ignored, undocumented: true }
      unheard.add(name)
      logger.warn(
        `ringhook ${provider}: "${printable(sentAs)}" is not a documented event and was ignored. To receive it, add its schema to events, or a "*" handler.`,
      )
    }
    return { ...ignored, undocumented: true }
  }
}
