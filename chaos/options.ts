import { parseArgs } from 'node:util'
import type { StoreName } from './backends/backend.ts'
import { type Mutant, mutants } from './endpoint.ts'
import { type InboxMutant, type InboxName, inboxMutants, inboxNames } from './inboxes/settings.ts'

export interface Options {
  /** What is proved, in this order. What is not there is left out. */
  readonly stores: readonly StoreName[]
  readonly inboxes: readonly InboxName[]
  /** Whether they were asked for by name: then what is not there is an error. */
  readonly isNamed: boolean
  /** How long random faults last, for each of them. */
  readonly seconds: number
  /** Whether each fault strikes once, in a fixed order, instead of that. */
  readonly isOneRound: boolean
  readonly seed: number
  /** Planted into the stores, or into the inboxes. */
  readonly mutant: Mutant | undefined
  readonly inboxMutant: InboxMutant | undefined
  /** The folder of the workers' programs, if they are built already. */
  readonly programs: string | undefined
}

const stores = ['redis', 'postgres', 'mysql', 'sqlite'] as const
const allMutants = [...mutants, ...inboxMutants]

export const usage = `npm run chaos -- [options]

  --store ${stores.join(' | ')}
  --inbox ${inboxNames.join(' | ')}
                           Default: every store and every inbox that can be run here.
  --seconds 20             Of random faults, for each of them.
  --round                  Each fault once, in a fixed order, instead of random ones.
  --seed 7                 Repeats the plan of a run, though not its timing.
  --mutant NAME            Plants a fault, which must be found.
                           Into a store: ${mutants.join(', ')}. Into an inbox: ${inboxMutants.join(', ')}.
  --programs FOLDER        The workers' programs, if they are built already.`

/** Reads the command line. Throws an Error with a sentence for the user. */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      store: { type: 'string' },
      inbox: { type: 'string' },
      seconds: { type: 'string', default: '20' },
      round: { type: 'boolean', default: false },
      seed: { type: 'string', default: String(Math.floor(Math.random() * 2 ** 31)) },
      mutant: { type: 'string' },
      programs: { type: 'string' },
    },
  })
  const store = choice('store', values.store, stores)
  const inbox = choice('inbox', values.inbox, inboxNames)
  const planted = choice('mutant', values.mutant, allMutants)
  const mutant = mutants.find((name) => name === planted)
  const inboxMutant = inboxMutants.find((name) => name === planted)
  const isNamed = store !== undefined || inbox !== undefined
  const chosen = {
    stores: isNamed ? [store].filter((name) => name !== undefined) : stores,
    inboxes: isNamed ? [inbox].filter((name) => name !== undefined) : inboxNames,
  }
  if (mutant !== undefined && inbox !== undefined) {
    throw new Error(`--mutant for an inbox is one of: ${inboxMutants.join(', ')}.`)
  }
  if (inboxMutant !== undefined && store !== undefined) {
    throw new Error(`--mutant for a store is one of: ${mutants.join(', ')}.`)
  }
  if (inboxMutant === 'order' && inbox === 'bullmq') {
    throw new Error('--mutant order needs an inbox that keeps order: sqlite or pg-boss.')
  }
  return {
    stores: inboxMutant === undefined ? chosen.stores : [],
    inboxes:
      mutant !== undefined
        ? []
        : chosen.inboxes.filter((name) => inboxMutant !== 'order' || name !== 'bullmq'),
    isNamed,
    seconds: whole('seconds', values.seconds),
    isOneRound: values.round,
    seed: whole('seed', values.seed),
    mutant,
    inboxMutant,
    programs: values.programs,
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
