import type { Inbox } from '../../inboxes/inbox.ts'
import type { Provider } from '../../providers/provider.ts'
import { memoryStore } from '../../stores/memory.ts'
import {
  checkAllowedIps,
  checkSecret,
  checkUnsigned,
  checkUrlToken,
  type KeySource,
} from '../authentication/authenticate.ts'
import type { IpAllowlist } from '../authentication/ip-allowlist.ts'
import { type SignatureVerifier, signatureVerifier } from '../authentication/signature.ts'
import type { UrlTokenRule } from '../authentication/url-token.ts'
import { systemClock } from '../clock.ts'
import type { DecodeSettings } from '../event/decode.ts'
import { digestKeyMaker, keyMaker } from '../event/idempotency.ts'
import { compileRoutes } from '../event/routing.ts'
import type { ExecutorSettings } from '../execution/executor.ts'
import type { EnqueueSettings } from '../inbox/enqueue.ts'
import { checkInbox } from '../inbox/inbox-checks.ts'
import { checkRetry, type RetryPolicies } from '../inbox/retry.ts'
import { outcomeReporter, type Reporter } from '../outcome/report.ts'
import { type BodyReader, bodyReader } from '../request/body.ts'
import {
  checkChoice,
  checkLimits,
  checkOptionNames,
  checkProvider,
  checkShapes,
  checkStore,
  type Limits,
  type UncheckedOptions,
} from './option-checks.ts'

/** The options of a receiver, checked and compiled: nothing of this is done again per delivery. */
export interface Settings extends ExecutorSettings, DecodeSettings, EnqueueSettings, Limits {
  readonly whyNotAllowed: IpAllowlist | undefined
  readonly readBody: BodyReader
  readonly keysFor: KeySource
  readonly verifier: SignatureVerifier | undefined
  readonly hasUrlToken: UrlTokenRule | undefined
  readonly inbox: Inbox | undefined
  readonly retry: RetryPolicies
  /** The oldest signed timestamp that is accepted. */
  readonly maxAgeMs: number
  readonly report: Reporter
}

/** Checks and compiles the options of a receiver. */
export function compileSettings(provider: Provider, options: UncheckedOptions): Settings {
  checkProvider(provider)
  checkOptionNames(options)
  checkShapes(options)
  checkUnsigned(provider, options)
  const limits = checkLimits(provider, options)
  const inbox = checkInbox(options)
  const clock = options.clock ?? systemClock
  const report = outcomeReporter(clock, options)
  const on = options.on ?? {}
  const retry = checkRetry(options.retry, Object.keys(on))
  const settings: Settings = {
    ...limits,
    clock,
    whyNotAllowed: checkAllowedIps(provider, options),
    readBody: bodyReader(clock, limits),
    keysFor: checkSecret(provider, options.secret),
    verifier: provider.signature === false ? undefined : signatureVerifier(provider.signature),
    hasUrlToken: checkUrlToken(options),
    urlTokens: [options.urlToken ?? []].flat().filter((token) => token !== undefined),
    routeOf: compileRoutes(provider, on, options.events ?? {}, retry),
    invalidEvents: checkChoice(
      options,
      'invalidEvents',
      ['reject', 'acknowledge'],
      // An inbox keeps what cannot be read, and one that is sent again would be no better.
      inbox === undefined ? (provider.defaults.invalidEvents ?? 'reject') : 'acknowledge',
    ),
    ownId: options.eventId,
    keyOf: (options.eventId === undefined ? keyMaker : digestKeyMaker)(
      provider.name,
      options.namespace ?? '',
    ),
    orderKeyOf: digestKeyMaker(provider.name, options.namespace ?? ''),
    namespace: options.namespace ?? '',
    inbox,
    retry,
    orderingKey: options.orderingKey,
    maxAgeMs: limits.retentionMs,
    // A timestamp may lie ahead by the tolerance, and between its check and the claim there may be
    // almost the whole time to the deadline: the event is remembered for that much longer, or the
    // last of its replays would come when it is forgotten.
    retentionMs: limits.retentionMs + limits.clockToleranceMs + limits.ackDeadlineMs,
    onStoreError: checkChoice(options, 'onStoreError', ['reject', 'process'], 'reject'),
    store: checkStore(
      options.store === undefined ? memoryStore({ clock, logger: report.logger }) : options.store,
    ),
    onRenewalFailed: (error) => report.renewalFailed(provider.name, error),
    onForgotten: () => report.forgotten(provider.name),
    report,
  }
  // Last: a set-up that is refused needs no warning.
  if (Object.keys(on).length === 0) {
    report.logger.warn(
      `ringhook ${provider.name}: on holds no handler, so every event is answered 200 and dropped. Add one, such as on: { '*': (event) => … }.`,
    )
  }
  return settings
}
