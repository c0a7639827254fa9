import { checkOptional, checkOptions } from '../../core/checks.ts'
import { delayAfter } from '../../core/inbox/retry.ts'
import { ApiError } from '../api-error.ts'
import { type CallOptions, type ClientSettings, checkEndpoint } from '../client-options.ts'
import { pause } from '../pause.ts'
import { type KrosaiSubscription, resolveEvents, sameEvents } from './subscriptions.ts'
import type { KrosaiListedEvent, KrosaiWebhook, KrosaiWebhooks } from './webhooks.ts'

/** What `ensureWebhook` takes. */
export type EnsureWebhookOptions = CallOptions & {
  /** Where the events go. The webhook that points here already is the one that is changed. */
  readonly url: string
  /** Left out: a new webhook is active, and one that is there stays as it is. */
  readonly active?: boolean
} & (
    | {
        /**
         * Names in any documented spelling, and wildcards such as `call.*`: they stand for the
         * events under them that the API lists.
         */
        readonly events: readonly KrosaiSubscription[]
        readonly allowUnlisted?: false
      }
    | {
        /** Names and wildcards; those that the API does not list are sent as they are written. */
        readonly events: readonly string[]
        /**
         * Whether names may be sent that the API's document does not list. The events page
         * documents 13 events and the wildcards beside it, so the API may take them.
         */
        readonly allowUnlisted: true
      }
  )

/** One field of a webhook that was not as asked. */
export interface WebhookChange<Value> {
  readonly from: Value | undefined
  readonly to: Value
}

/** What `ensureWebhook` found and did. */
export interface EnsuredWebhook {
  readonly id: string
  readonly action: 'created' | 'updated' | 'unchanged'
  /** What an update changed. */
  readonly changes: {
    readonly events?: WebhookChange<readonly string[]>
    readonly active?: WebhookChange<boolean>
  }
  /** The secret that deliveries are signed with. `undefined`: the API did not give it. */
  readonly secret: string | undefined
  /** The names that were asked for at the API. */
  readonly events: readonly string[]
  /** Documented events under a wildcard that the API does not list, and so does not send. */
  readonly leftOut: readonly string[]
  /** Other webhooks that point at the same URL: each sends every event once more. They were left alone. */
  readonly duplicates: readonly string[]
}

/** What is to be. */
interface Wanted {
  readonly url: string
  readonly events: readonly KrosaiListedEvent[]
  readonly active?: boolean
}

const optionNames = ['url', 'events', 'active', 'allowUnlisted', 'signal']

/** Returns the `ensureWebhook` function of a client. */
export function ensurer(webhooks: KrosaiWebhooks, settings: ClientSettings) {
  return async function ensureWebhook(options: EnsureWebhookOptions): Promise<EnsuredWebhook> {
    const { wanted, leftOut } = checkWanted(options)
    const call = options.signal === undefined ? {} : { signal: options.signal }

    const [found, ...others] = await pointingAt(webhooks, wanted.url, call)
    if (found !== undefined) return await adjust(found, others)

    const created = await create(webhooks, settings, wanted, call)
    // Its answer was lost, and it may be that of another instance: it is not ours to delete.
    if (Array.isArray(created)) return await adjust(created[0], created.slice(1), 'created')
    // Another instance may have created one at the same moment. All of them keep the same one.
    const [kept, ...rest] = await pointingAt(webhooks, wanted.url, call)
    if (kept !== undefined && kept.id !== created.id) {
      await webhooks.delete(created.id, call)
      return await adjust(kept, without(rest, created))
    }
    return await report(created, 'created', {}, without(rest, created))

    async function adjust(
      webhook: KrosaiWebhook,
      duplicates: readonly KrosaiWebhook[],
      otherwise: EnsuredWebhook['action'] = 'unchanged',
    ) {
      const changes = changesTo(webhook, wanted)
      const isAsAsked = changes.events === undefined && changes.active === undefined
      if (isAsAsked) return await report(webhook, otherwise, changes, duplicates)
      const update = {
        ...(changes.events !== undefined && { events: wanted.events }),
        ...(changes.active !== undefined && { active: changes.active.to }),
      }
      const updated = await webhooks.update(webhook.id, update, call)
      // An answer without the secret takes nothing back that an earlier one gave.
      const secret = updated.secret ?? webhook.secret
      return await report({ ...updated, secret }, 'updated', changes, duplicates)
    }

    async function report(
      webhook: KrosaiWebhook,
      action: EnsuredWebhook['action'],
      changes: EnsuredWebhook['changes'],
      duplicates: readonly KrosaiWebhook[],
    ): Promise<EnsuredWebhook> {
      // Which answers have the secret is not documented: the one for a single webhook may.
      const secret = webhook.secret ?? (await webhooks.get(webhook.id, call)).secret ?? undefined
      return {
        id: webhook.id,
        action,
        changes,
        secret,
        events: wanted.events,
        leftOut,
        duplicates: duplicates.map(({ id }) => id),
      }
    }
  }
}

function checkWanted(options: EnsureWebhookOptions) {
  checkOptions('ensureWebhook()', options, optionNames)
  const { active, events, allowUnlisted = false } = options
  const url = checkEndpoint(options.url)
  checkOptional('active', active, 'boolean')
  const resolved = resolveEvents(events, allowUnlisted)
  const wanted: Wanted = {
    url,
    // With allowUnlisted they may be others: the API is the judge then.
    events: resolved.events as readonly KrosaiListedEvent[],
    ...(active !== undefined && { active }),
  }
  return { wanted, leftOut: resolved.leftOut }
}

/** Returns the webhooks that point at a URL, the oldest first. */
async function pointingAt(
  webhooks: KrosaiWebhooks,
  url: string,
  call: CallOptions,
): Promise<readonly KrosaiWebhook[]> {
  const all = await webhooks.list(call)
  return all.filter((webhook) => sameUrl(webhook.url, url)).sort(byAge)
}

/**
 * What was there first: every instance that has created one later sees it. By the id where the API
 * gives no time; for two of the same moment that may leave one too many, which is reported.
 */
function byAge(one: KrosaiWebhook, other: KrosaiWebhook): number {
  const [first, second] = [one, other].map(({ created_at, id }) => `${created_at ?? ''} ${id}`)
  return (first ?? '') < (second ?? '') ? -1 : 1
}

/** What points at the URL, the oldest first. */
type Found = [KrosaiWebhook, ...KrosaiWebhook[]]

/**
 * Creates a webhook. One that may have been created although its answer was lost is looked for
 * before it is created again: then it gives all that point there.
 */
async function create(
  webhooks: KrosaiWebhooks,
  { retry, clock }: ClientSettings,
  wanted: Wanted,
  call: CallOptions,
): Promise<KrosaiWebhook | Found> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await webhooks.create(wanted, call)
    } catch (error) {
      if (!(error instanceof ApiError && error.outcomeUnknown)) throw error
      await pause(clock, delayAfter(retry, attempt), call.signal)
      const [found, ...others] = await pointingAt(webhooks, wanted.url, call)
      if (found !== undefined) return [found, ...others]
      if (attempt >= retry.maxAttempts) throw error
    }
  }
}

function changesTo(webhook: KrosaiWebhook, wanted: Wanted): EnsuredWebhook['changes'] {
  const events = webhook.events ?? undefined
  const active = webhook.active ?? undefined
  return {
    ...((events === undefined || !sameEvents(events, wanted.events)) && {
      events: { from: events, to: wanted.events },
    }),
    ...(wanted.active !== undefined &&
      wanted.active !== active && { active: { from: active, to: wanted.active } }),
  }
}

/** As a URL, not as text: `https://Example.com` and `https://example.com/` are one address. */
function sameUrl(text: string, url: string): boolean {
  return URL.canParse(text) && new URL(text).href === new URL(url).href
}

function without(
  webhooks: readonly KrosaiWebhook[],
  { id }: KrosaiWebhook,
): readonly KrosaiWebhook[] {
  return webhooks.filter((webhook) => webhook.id !== id)
}
