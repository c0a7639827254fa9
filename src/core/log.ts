import { debuglog, types } from 'node:util'
import type { Clock } from './clock.ts'

export { whereThrown } from './error-text.ts'

/** Where ringhook writes its lines: `console`, pino, winston and most others fit. */
export interface Logger {
  debug(line: string): void
  info(line: string): void
  warn(line: string): void
  error(line: string): void
}

export type LogLevel = keyof Logger

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/** Prints with `NODE_DEBUG=ringhook`. */
const debugging = debuglog('ringhook')

/** `console` for warnings and errors only: a library that prints successes is noise. */
const preset: Logger = {
  ...silent,
  debug: (line) => debugging('%s', line),
  warn: (line) => console.warn(line),
  error: (line) => console.error(line),
}

/** A logger that never throws. */
export interface SafeLogger extends Logger {
  /** Returns whether a debug line is worth building. */
  isDebugging(): boolean
}

/** Wraps the `logger` option so that a logger that throws changes no answer. */
export function safeLogger(logger: Logger | false | undefined): SafeLogger {
  const target = logger === false ? silent : (logger ?? preset)
  return {
    debug: (line) => write(target, 'debug', line),
    info: (line) => write(target, 'info', line),
    warn: (line) => write(target, 'warn', line),
    error: (line) => write(target, 'error', line),
    isDebugging: () => isDebugging(target),
  }
}

function isDebugging(logger: LeveledLogger): boolean {
  if (logger === silent) return false
  if (logger === preset) return debugging.enabled
  try {
    // Asked for each delivery: the level can change while the process runs.
    return logger.isLevelEnabled?.('debug') !== false
  } catch {
    return true
  }
}

/** pino and winston know whether a line would be written. */
interface LeveledLogger extends Logger {
  isLevelEnabled?(level: string): unknown
}

function write(target: Logger, level: LogLevel, line: string): void {
  try {
    const written: unknown = target[level](line)
    if (types.isPromise(written)) written.catch(() => {})
  } catch {
    // There is nowhere left to report it.
  }
}

/**
 * Lets one line per topic and minute through, so that a sender can't fill a disk with lines about its
 * requests. The next line says how many were left out.
 */
export class LogThrottle {
  readonly #clock: Clock
  readonly #windows = new Map<string, { endsAt: number; leftOut: number }>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Returns the text to append to the line, or `undefined` to leave the line out. */
  admit(topic: string): string | undefined {
    const now = this.#clock.now()
    const window = this.#windows.get(topic)
    if (window !== undefined && now < window.endsAt) {
      window.leftOut++
      return undefined
    }
    this.#windows.set(topic, { endsAt: now + 60_000, leftOut: 0 })
    return window === undefined || window.leftOut === 0
      ? ''
      : ` (${window.leftOut} more like it left out)`
  }
}

/**
 * Returns text from outside in a form that is safe in a log: one line of at most 80 characters,
 * without control characters, escape sequences or direction marks.
 */
export function printable(text: string): string {
  const short = text.length > 80 ? `${text.slice(0, 79)}…` : text
  return short.replace(/[^\x20-\x7e…]/g, '?')
}
