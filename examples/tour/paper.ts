import { type Attempt, attemptText, type MadeAttempt } from './attempts.ts'
import type { Answer } from './check.ts'

/** Where the tour is printed: `process.stdout`, or anything with these. */
export interface Output {
  readonly isTTY?: boolean | undefined
  write(text: string): unknown
}

/** One delivery, as it is printed. */
export interface Line {
  readonly at: Date
  readonly name: string
  readonly answer: Answer
  /** In ms, as in `1.2` or `<1`. */
  readonly took: string
  readonly note: string
  /** What the worker's first attempt came to, if there is an inbox and it took the delivery. */
  readonly attempt?: Attempt
  /** The promise that the answer breaks. */
  readonly broken?: Answer | undefined
}

/** One row of the summary. */
export interface Row {
  readonly title: string
  readonly deliveries: number
  readonly promisedEffects: number
  readonly effects: number
}

type Style = keyof typeof styles

// util.styleText of Node 20 colours a list of styles even where NO_COLOR is set.
const styles = { bold: [1, 22], dim: [2, 22], red: [31, 39], green: [32, 39], yellow: [33, 39] }

const attemptColours: Readonly<Record<string, Style>> = {
  completed: 'green',
  retry: 'yellow',
  postponed: 'yellow',
}

const nameWidth = 24
const attemptWidth = 21

/** Prints the tour in columns, coloured where the output is a terminal or FORCE_COLOR is set. */
export class Paper {
  readonly #output: Output
  readonly #isColoured: boolean

  constructor(output: Output, env: NodeJS.ProcessEnv) {
    this.#output = output
    this.#isColoured = isColoured(output, env)
  }

  print(text = ''): void {
    this.#output.write(`${text}\n`)
  }

  heading(title: string, explanation: string): void {
    this.print()
    this.print(`${this.style('bold', title)}${this.style('dim', `  ${explanation}`)}`)
  }

  line({ at, name, answer, took, note, attempt, broken }: Line): void {
    const colour = colourOf(answer.status)
    const code = answer.code ?? (attempt && deadCodeOf(attempt))
    const detail = [note, code].filter(Boolean).join(' · ')
    const columns = [
      broken === undefined ? ' ' : this.style('red', '✗'),
      this.style('dim', clock(at)),
      name.padEnd(nameWidth),
      this.style(colour, String(answer.status || '–').padEnd(3)),
      this.style(colour, answer.outcome.padEnd(9)),
      `${took.padStart(5)} ms`,
      ...(attempt === undefined ? [] : [this.#attempt(attempt)]),
      broken === undefined
        ? this.style('dim', detail)
        : this.style('red', `promised: ${answerText(broken)}`),
    ]
    this.print(columns.join('  ').trimEnd())
  }

  /** An attempt at an event that has its line already, or that was delivered long ago. */
  attempt(attempt: MadeAttempt, name = '  tried again'): void {
    const columns = [
      ' ',
      this.style('dim', clock(attempt.at)),
      name.padEnd(nameWidth + 24),
      this.#attempt(attempt),
      this.style('dim', deadCodeOf(attempt) ?? ''),
    ]
    this.print(columns.join('  ').trimEnd())
  }

  /** What an operator did. */
  act(at: Date, what: string, result: string): void {
    this.print([' ', this.style('dim', clock(at)), `${what}: ${result}`].join('  '))
  }

  #attempt(attempt: Attempt): string {
    return this.style(
      attemptColours[attempt.next] ?? 'red',
      attemptText(attempt).padEnd(attemptWidth),
    )
  }

  /** The summary: what was sent, what it did, and whether that was all. */
  table(rows: readonly Row[]): void {
    const width = Math.max(...rows.map(({ title }) => title.length))
    const header = `${''.padEnd(width)}  deliveries  events handled  expected`
    this.print(this.style('dim', `   ${header}`))
    for (const { title, deliveries, effects, promisedEffects } of rows) {
      const isRight = effects === promisedEffects
      const columns = [
        title.padEnd(width),
        String(deliveries).padStart(10),
        this.style(isRight ? 'green' : 'red', String(effects).padStart(14)),
        String(promisedEffects).padStart(8),
      ]
      this.print(`${isRight ? ' ' : this.style('red', '✗')}  ${columns.join('  ')}`)
    }
  }

  style(style: Style, text: string): string {
    const [on, off] = styles[style]
    return this.#isColoured && text !== '' ? `\u001b[${on}m${text}\u001b[${off}m` : text
  }
}

/** An answer in words: `401 rejected RINGHOOK_NOT_AUTHENTIC`. */
export function answerText({ status, outcome, code }: Answer): string {
  // Where there was no answer, the outcome says so and there is no status.
  return [status, outcome, code].filter(Boolean).join(' ')
}

/** Why an event is a dead letter. Why it is tried again, its outcome says. */
function deadCodeOf({ next, code }: Attempt): string | undefined {
  return next === 'dead' ? code : undefined
}

function isColoured({ isTTY }: Output, env: NodeJS.ProcessEnv): boolean {
  const { FORCE_COLOR, NO_COLOR, TERM } = env
  // Node's own order: who forces it means it.
  if (FORCE_COLOR !== undefined) return FORCE_COLOR !== '0' && FORCE_COLOR !== 'false'
  return isTTY === true && !NO_COLOR && TERM !== 'dumb'
}

function colourOf(status: number): Style {
  if (status >= 200 && status < 300) return 'green'
  return status >= 400 && status < 500 ? 'yellow' : 'red'
}

function clock(date: Date): string {
  const two = (part: number) => String(part).padStart(2, '0')
  const seconds = `${two(date.getSeconds())}.${String(date.getMilliseconds()).padStart(3, '0')}`
  return `${two(date.getHours())}:${two(date.getMinutes())}:${seconds}`
}
