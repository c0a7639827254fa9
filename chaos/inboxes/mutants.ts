import type { Inbox } from '../../src/inboxes/inbox.ts'
import { altered } from './journaled-inbox.ts'
import { endpoints, type InboxMutant } from './settings.ts'

/**
 * Plants a fault into an inbox that has none, from outside, so that each is the same on every
 * engine. A proof that does not notice them proves nothing.
 *
 * - `ack`: the deliveries of one endpoint are said to be accepted, and never committed.
 * - `forget`: a failed attempt counts as done.
 * - `count`: no attempt counts, so that there are any number of them.
 * - `order`: the order of a call is not kept.
 */
export function plantedInbox(mutant: InboxMutant | undefined, inbox: Inbox): Inbox {
  switch (mutant) {
    case undefined:
      return inbox
    case 'ack':
      return altered(inbox, {
        async put(delivery, options) {
          // Not those of the drill, which waits for what it has sent.
          const isLost = delivery.namespace === endpoints['/hasty'].namespace
          return isLost ? 'accepted' : await inbox.put(delivery, options)
        },
      })
    case 'forget':
      return altered(inbox, {
        start: (process, options) =>
          inbox.start(async (delivery, attempt) => {
            const verdict = await process(delivery, attempt)
            return verdict.state === 'retry' ? { state: 'completed' } : verdict
          }, options),
      })
    case 'count':
      return altered(inbox, {
        start: (process, options) =>
          inbox.start((delivery, attempt) => process(delivery, { ...attempt, number: 1 }), options),
      })
    case 'order':
      return altered(inbox, { put: (delivery, { key }) => inbox.put(delivery, { key }) })
  }
}
