import { parseArgs } from 'node:util'
import type { StoreName } from './backends/backend.ts'
import { type Mutant, mutants } from './endpoint.ts'

export interface Options {
  /** Absent: every store whose server is there. */
  readonly store: StoreName | undefined
  /** How long the faults last, for each store. */
  readonly seconds: number
  readonly seed: number
  readonly mutant: Mutant | undefined
}

export const stores = ['redis', 'postgres', 'mysql', 'sqlite'] as const

export const usage = `npm run chaos -- [options]

  --store ${stores.join(' | ')}   Default: every store that is there.
  --seconds 20                                Of faults, for each store.
  --seed 7                                    Repeats the plan of a run, though not its timing.
  --mutant ${mutants.join(' | ')}           Plants a fault, which must be found.`

/** Reads the command line. Throws an Error with a sentence for the user. */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      store: { type: 'string' },
      seconds: { type: 'string', default: '20' },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
      mutant: { type: 'string' },
    },
  })
  return {
    store: choice('store', values.store, stores),
    seconds: whole('seconds', values.seconds),
    seed: whole('seed', values.seed),
    mutant: choice('mutant', values.mutant, mutants),
  }
}

function choice<Choice extends string>(
  name: string,
  value: string | undefined,
  choices: readonly Choice[],
): Choice | undefined {
  if (value === undefined) return undefined
  const found = choices.find((candidate) => candidate === value)
  if (found !== undefined) return found
  throw new Error(`--${name} is one of: ${choices.join(', ')}.`)
}

function whole(name: string, text: string): number {
  const value = Number(text)
  if (text !== '' && Number.isSafeInteger(value) && value >= 0) return value
  throw new Error(`--${name} is a whole number from 0.`)
}
