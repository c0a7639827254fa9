/** Where the output goes: `process.stdout`, or anything with these. */
export interface Output {
  readonly isTTY?: boolean | undefined
  write(text: string): unknown
}

const styles = { bold: [1, 22], red: [31, 39], green: [32, 39], dim: [2, 22] } as const

/** Prints with colour and a running line on a terminal, and plain lines elsewhere. */
export class Screen {
  readonly #output: Output
  readonly #isTerminal: boolean
  readonly #hasColour: boolean
  #timer: NodeJS.Timeout | undefined
  #startedAt = 0

  constructor(output: Output, environment: Readonly<Record<string, string | undefined>>) {
    this.#output = output
    this.#isTerminal = output.isTTY === true
    this.#hasColour = this.#isTerminal && (environment['NO_COLOR'] ?? '') === ''
  }

  title(text: string): void {
    this.#startedAt = performance.now()
    this.#output.write(`\n${this.#styled('bold', text)}\n`)
  }

  /** Begins a phase: with a running line on a terminal, with one line elsewhere. */
  phase(name: string, status: () => string): void {
    this.end()
    if (!this.#isTerminal) {
      this.#output.write(`  ${name} …\n`)
      return
    }
    this.#timer = setInterval(() => {
      const seconds = ((performance.now() - this.#startedAt) / 1_000).toFixed(0)
      const text = this.#styled('dim', `  ${name}, ${seconds} s: ${status()}`)
      this.#output.write(`\r\u001b[2K${text}`)
    }, 200)
    this.#timer.unref()
  }

  /** Takes the running line away. */
  end(): void {
    if (this.#timer === undefined) return
    clearInterval(this.#timer)
    this.#timer = undefined
    this.#output.write('\r\u001b[2K')
  }

  verdict(holds: boolean, text: string): void {
    this.#output.write(`${this.#styled(holds ? 'green' : 'red', text)}\n`)
  }

  #styled(style: keyof typeof styles, text: string): string {
    if (!this.#hasColour) return text
    const [on, off] = styles[style]
    return `\u001b[${on}m${text}\u001b[${off}m`
  }
}
