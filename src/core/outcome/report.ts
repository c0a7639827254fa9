import type { Clock } from '../clock.ts'
import { ownMessageOrPlace, textOfThrown, whereThrown } from '../error-text.ts'
import { type AttemptCode, type DeliveryCode, RinghookError } from '../errors.ts'
import { type Logger, type LogLevel, LogThrottle, printable, safeLogger } from '../log.ts'
import { isThenable } from '../thenable.ts'
import type { Answer } from './answers.ts'
import type { Outcome } from './outcome.ts'

/** Tells what became of deliveries: to `onOutcome` all, to the logger what somebody should look at. */
export interface Reporter {
  (outcome: Outcome): void
  /** Whether somebody would be told of it: an outcome that nobody sees is not put together. */
  concerns(answer: Answer): boolean
  /** Logs the failure of a handler, or of a claim, that came after the deadline: the delivery is answered already. */
  late(outcome: Outcome): void
  /** Logs that the worker of an inbox could not do its work. It goes on by itself. */
  inboxFailed(provider: string, error: unknown): void
  /** Logs that the lease of a running event could not be renewed. */
  renewalFailed(provider: string, error: unknown): void
  /** Logs that the store had forgotten a running event, which was marked again. */
  forgotten(provider: string): void
  /** Logs that an event has an id that cannot be used. */
  idUnusable(provider: string, sentAs: string, oddity: string): void
  readonly logger: Logger
}

/** The codes whose deliveries come with a reason of their own, or are not worth a line. */
type CodeWithoutHint =
  | 'RINGHOOK_ADAPTER_MISMATCH'
  | 'RINGHOOK_REQUEST_INVALID'
  | 'RINGHOOK_IP_NOT_ALLOWED'
  | 'RINGHOOK_BODY_ALREADY_READ'
  | 'RINGHOOK_NOT_AUTHENTIC'
  | 'RINGHOOK_HANDLER_DID_NOT_RUN'
  | 'RINGHOOK_RECEIVER_MISSING'
  | 'RINGHOOK_DELIVERY_UNREADABLE'
  | 'RINGHOOK_IN_FLIGHT'
  | 'RINGHOOK_SHUTTING_DOWN'

type HintedCode = Exclude<DeliveryCode | AttemptCode, CodeWithoutHint>

/** What to look at, by code. Lines come once a minute and code, however many deliveries there are. */
const hints: Readonly<Record<HintedCode, string>> &
  Partial<Record<DeliveryCode | AttemptCode, string>> = {
  RINGHOOK_BODY_TOO_LARGE: 'the body is longer than maxBodyBytes',
  RINGHOOK_BODY_TIMEOUT: 'the body did not arrive within bodyTimeoutMs',
  RINGHOOK_BODY_ENCODED:
    'its Content-Encoding is not identity. Providers send plain bodies; if something in front of this server compresses or labels requests, stop it there',
  RINGHOOK_BODY_ABORTED:
    'the connection ended before the body did, or the body is not as long as its Content-Length. A time-out of a proxy in front, perhaps',
  RINGHOOK_BODY_NOT_UTF8: 'the body is authentic, but its bytes are not UTF-8',
  RINGHOOK_BODY_NOT_JSON:
    'the body is authentic, but not a JSON object. Is this URL that of the right provider',
  RINGHOOK_EVENT_MISSING:
    'the body is authentic, but names no event. Is this URL that of the right provider',
  RINGHOOK_BODY_TOO_DEEP: 'the body is authentic, but nested more than 256 levels deep',
  RINGHOOK_METHOD_NOT_ALLOWED: 'it was no POST. A browser or a health check, perhaps',
  RINGHOOK_HANDLER_FAILED: 'the handler threw. onOutcome is given the error with its message',
  RINGHOOK_PERMANENT_FAILURE:
    'the handler threw PermanentFailure, so the event is not tried again. onOutcome is given the error with its message',
  RINGHOOK_INTERNAL_ERROR:
    'something failed in ringhook, or in the read function of a provider of your own',
  RINGHOOK_TIMESTAMP_MISSING:
    'the body has no timestamp, which the provider sends with every event',
  RINGHOOK_TIMESTAMP_INVALID: 'the timestamp is not in the form of RFC 3339 with its zone',
  RINGHOOK_TIMESTAMP_TOO_OLD:
    'the signed timestamp is older than retentionMs. A replay, or the clock of this machine is wrong',
  RINGHOOK_TIMESTAMP_IN_FUTURE:
    'the signed timestamp lies ahead by more than clockToleranceMs. Is the clock of this machine wrong',
  RINGHOOK_EVENT_INVALID: 'the data does not fit the schema of its event',
  RINGHOOK_DEADLINE_EXCEEDED:
    'the handler was not done by ackDeadlineMs. It goes on, and the next delivery finds it done',
  RINGHOOK_STORE_UNAVAILABLE:
    'the idempotency store failed or did not answer in time, so the event has to come again',
  RINGHOOK_INBOX_UNAVAILABLE:
    'the inbox failed or did not answer in time, so the event has to come again',
  RINGHOOK_ATTEMPTS_EXHAUSTED:
    'it has no attempt left, and the last one did not end. Look for what ends the process, such as its memory, before it is replayed; or retry.maxAttempts was lowered',
  RINGHOOK_HANDLER_MISSING:
    'on has no handler for it any more. Add one and replay it, or discard it',
  RINGHOOK_SECRET_UNAVAILABLE:
    'the secret function failed, did not answer, or gave something that is no secret',
}

const levels: Partial<Record<Outcome['outcome'], LogLevel>> = {
  failed: 'error',
  unavailable: 'error',
  rejected: 'warn',
  invalid: 'warn',
  timed_out: 'warn',
}

/** The options of a receiver that say who is told what. */
export interface ReportOptions {
  readonly logger?: Logger | false | undefined
  readonly logErrors?: boolean | undefined
  readonly onOutcome?: ((outcome: Outcome) => void) | undefined
}

/** Returns the reporter of a receiver. */
export function outcomeReporter(
  clock: Clock,
  { logger, logErrors = true, onOutcome }: ReportOptions,
): Reporter {
  const log = safeLogger(logger)
  const throttle = new LogThrottle(clock)

  function report(outcome: Outcome): void {
    if (onOutcome !== undefined) tell(onOutcome, outcome, complain)
    const what = whatBecame(outcome)
    write(outcome, what)
    if (log.isDebugging()) debug(outcome, what)
  }

  function concerns({ code, bodyChanged, completionLost }: Answer): boolean {
    const isTold = onOutcome !== undefined || log.isDebugging()
    return isTold || code !== undefined || bodyChanged === true || completionLost === true
  }

  /** Throttled where the sender is not known: `debug` may be on in production. */
  function debug(outcome: Outcome, what: string): void {
    const { code = '', durationMs, type } = outcome
    const suffix = type === undefined ? throttle.admit(`debug ${code}`) : ''
    if (suffix === undefined) return
    const reason = code === '' ? '' : ` [${code}]`
    log.debug(`${headOf(outcome)} ${what} in ${Math.round(durationMs)} ms${reason}${suffix}`)
  }

  /** Throttled too: `onOutcome` is told of deliveries that anybody can send. */
  function complain(provider: string, error: unknown): void {
    const suffix = throttle.admit('onOutcome')
    if (suffix === undefined) return
    log.error(`ringhook ${provider}: onOutcome failed: ${whereThrown(error)}${suffix}`)
  }

  function late(outcome: Outcome): void {
    // A claim that failed late says why the store was silent; one that was won late was given back.
    const isNews =
      outcome.outcome === 'failed' ||
      outcome.completionLost === true ||
      (outcome.code === 'RINGHOOK_STORE_UNAVAILABLE' && outcome.error !== undefined)
    if (isNews) write(outcome, `${outcome.outcome} after its deadline`, 'late ')
  }

  function renewalFailed(provider: string, error: unknown): void {
    const suffix = throttle.admit('renewal')
    if (suffix === undefined) return
    log.warn(
      `ringhook ${provider}: the lease of a running event could not be renewed. If the store stays away for leaseMs, the event may run beside itself (${ownMessageOrPlace(error)})${suffix}`,
    )
  }

  function forgotten(provider: string): void {
    const suffix = throttle.admit('forgotten')
    if (suffix === undefined) return
    log.warn(
      `ringhook ${provider}: the store had forgotten an event while its handler ran, as it does in a failover to a replica that was behind, in a restart without persistence, when it is flushed, and when its memory is full. It was marked again. Others that were forgotten run again if they are repeated${suffix}`,
    )
  }

  function idUnusable(provider: string, sentAs: string, oddity: string): void {
    const suffix = throttle.admit('id')
    if (suffix === undefined) return
    log.warn(
      `ringhook ${provider}: the id of ${printable(sentAs)} is ${oddity}, so the SHA-256 of its body takes its place. If it is sent again with other bytes, such as a new timestamp, it runs again. Ids are text or whole numbers up to 2^53; eventId can make one${suffix}`,
    )
  }

  function inboxFailed(provider: string, error: unknown): void {
    const suffix = throttle.admit('inbox')
    if (suffix === undefined) return
    log.error(
      `ringhook ${provider}: the worker of the inbox failed, and will try again (${ownMessageOrPlace(error)})${suffix}`,
    )
  }

  function write(outcome: Outcome, what: string, topicPrefix = ''): void {
    const line = lineFor(outcome, what, logErrors)
    if (line === undefined) return
    const isNews = losesSomething(outcome)
    const suffix = isNews ? '' : throttle.admit(`${topicPrefix}${line.topic}`)
    if (suffix !== undefined) log[line.level](`${line.text}${suffix}`)
  }
  return Object.assign(report, {
    concerns,
    late,
    renewalFailed,
    forgotten,
    idUnusable,
    inboxFailed,
    logger: log,
  })
}

/** What was answered, or what becomes of it in the inbox. */
function whatBecame({ outcome, status, next, nextInMs = 0 }: Outcome): string {
  if (next === undefined) return `answered ${status} ${outcome}`
  if (next === 'dead') return `${outcome}, and is a dead letter now`
  if (next === 'completed') return outcome
  return `${outcome}, next attempt in ${(nextInMs / 1_000).toFixed(1)} s`
}

function tell(
  onOutcome: (outcome: Outcome) => unknown,
  outcome: Outcome,
  complain: (provider: string, error: unknown) => void,
): void {
  try {
    const result = onOutcome(outcome)
    if (!isThenable(result)) return
    result.then(undefined, (error: unknown) => complain(outcome.provider, error))
  } catch (error) {
    complain(outcome.provider, error)
  }
}

/** Never left out of the log: a handler's failure, and what nobody will send again. */
function losesSomething({ outcome, code, status, completionLost, next }: Outcome): boolean {
  if (next === 'dead') return true
  if (outcome === 'failed') return code !== 'RINGHOOK_INTERNAL_ERROR'
  return completionLost === true || (outcome === 'invalid' && status === 200)
}

/** The codes of mistakes that only a delivery can show. */
const wiringCodes: readonly Outcome['code'][] = [
  'RINGHOOK_BODY_ALREADY_READ',
  'RINGHOOK_ADAPTER_MISMATCH',
  'RINGHOOK_REQUEST_INVALID',
]

interface Line {
  readonly level: LogLevel
  /** What the line is about: one line per topic and minute. */
  readonly topic: string
  readonly text: string
}

function lineFor(outcome: Outcome, what: string, logErrors: boolean): Line | undefined {
  const { code } = outcome
  if (outcome.bodyChanged === true) {
    const text = `${headOf(outcome)} was sent again with other bytes under the same id; the event had finished and was not run again`
    return { level: 'warn', topic: 'bodyChanged', text }
  }
  if (outcome.completionLost === true) {
    const text = `${headOf(outcome)} had finished, but the store could not be told, so a repeat may run it again${because(outcome, false)}`
    return { level: 'error', topic: 'completionLost', text }
  }
  if (code === undefined || code === 'RINGHOOK_SHUTTING_DOWN') return undefined
  const isBad = wiringCodes.includes(code) || outcome.next === 'dead'
  const level = isBad ? 'error' : levels[outcome.outcome]
  if (level === undefined) return undefined
  const isShown = logErrors && isOfHandler(outcome)
  const hint = outcome.reason ?? (isShown ? 'the handler threw' : hintFor(outcome, code))
  const text = `${headOf(outcome)} ${what}${hint === undefined ? '' : `: ${hint}`}${because(outcome, isShown)} [${code}, see ringhook/docs/errors.md#${code.toLowerCase()}]`
  return { level, topic: code, text }
}

/** The codes with an error of a store or an inbox. */
const ofStores: readonly Outcome['code'][] = [
  'RINGHOOK_STORE_UNAVAILABLE',
  'RINGHOOK_INBOX_UNAVAILABLE',
]

/** Where nothing says what failed, the server may be away; a store that knows has its own remedy. */
function hintFor({ error }: Outcome, code: DeliveryCode | AttemptCode): string | undefined {
  const hint = hints[code]
  if (!ofStores.includes(code) || error instanceof RinghookError) return hint
  return `${hint}. Is its server up, and reachable from this machine`
}

/** Put together only where there is a line to write, which most deliveries have not. */
function headOf({ provider, type, sentAs, eventId, tenant, attempt }: Outcome): string {
  if (sentAs === undefined) return `ringhook ${provider}: a delivery`
  const name =
    type === sentAs ? printable(sentAs) : `${printable(type ?? '')} (sent as ${printable(sentAs)})`
  const id = eventId === undefined ? '' : ` ${printable(eventId)}`
  const whose = tenant === undefined ? '' : ` of tenant ${printable(tenant)}`
  return `ringhook ${provider}: ${name}${id}${whose}${attempt === undefined ? '' : ` attempt ${attempt}`}`
}

/** Whether its error is what a handler threw. What failed before one ran has a reason. */
function isOfHandler({ code, reason, completionLost }: Outcome): boolean {
  const isFailure = code === 'RINGHOOK_HANDLER_FAILED' || code === 'RINGHOOK_PERMANENT_FAILURE'
  return isFailure && reason === undefined && completionLost !== true
}

/** To the millisecond where seconds would say 0. */
function ageOf(ageMs: number): string {
  const distance = Math.abs(ageMs)
  const length = distance < 1_000 ? `${distance} ms` : `${Math.round(distance / 1_000)} s`
  return ageMs < 0 ? `${length} ahead of this machine's clock` : `age ${length}`
}

/** The messages of drivers, schemas and functions of the user's may hold anything. */
function because({ ageMs, issues, error }: Outcome, isErrorShown: boolean): string {
  const parts: string[] = []
  if (ageMs !== undefined) parts.push(ageOf(ageMs))
  for (const { path, code } of issues?.slice(0, 5) ?? []) parts.push(`${path}: ${code}`)
  if (error !== undefined) parts.push(isErrorShown ? textOfThrown(error) : ownMessageOrPlace(error))
  return parts.length === 0 ? '' : ` (${parts.join(', ')})`
}
