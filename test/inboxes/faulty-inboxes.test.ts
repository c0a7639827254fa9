import { fileURLToPath } from 'node:url'
import { inboxContract } from 'ringhook/conformance'
import { describe, expect, it, test } from 'vitest'
import { compiledProgram } from '../helpers/compiled-programs.ts'
import { verdictMistakes } from './faulty-inboxes/attempt-results.ts'
import { listMistakes } from './faulty-inboxes/lists.ts'
import { orderingMistakes } from './faulty-inboxes/order.ts'
import { putMistakes } from './faulty-inboxes/puts.ts'
import { workerMistakes } from './faulty-inboxes/workers.ts'
import { brokenRules, type Mistaken, optionsFor, rulesOf } from './memory-contract.ts'
import { MemoryInbox } from './memory-inbox.ts'

/** An inbox with a mistake mostly does not do what it should: that is waited for. */
const impatientFor = (Faulty: Mistaken) => ({ ...optionsFor(Faulty), patienceMs: 2_500 })

const mistakes = [
  ...putMistakes,
  ...listMistakes,
  ...workerMistakes,
  ...verdictMistakes,
  ...orderingMistakes,
]

describe('inboxContract', () => {
  describe('on an inbox that keeps it', () => {
    inboxContract({ test, ...optionsFor() })
  })

  it.concurrent.each(mistakes)(
    'catches an inbox that %s',
    { timeout: 60_000 },
    async (_, rules, Faulty) => {
      expect(await brokenRules(impatientFor(Faulty), rules)).toEqual(rules)
    },
  )

  it('has no rule that no mistake breaks', () => {
    const broken = new Set(mistakes.flatMap(([, itsRules]) => itsRules))
    const rules = [...rulesOf(optionsFor()).keys()]
    expect(rules.filter((rule) => !broken.has(rule))).toEqual([naming])
  })

  it('catches an inbox that says wrongly whether it keeps the order', async () => {
    const options = { ...optionsFor(), keepsOrder: false }
    expect(await brokenRules(options, [naming])).toEqual([naming])
  })

  it('refuses an option that does not exist', () => {
    const options = { ...optionsFor(), loselease: () => {} }
    expect(() => rulesOf(options)).toThrow(/no option "loselease".*Did you mean "loseLease"/)
  })
})

const memoryProgram = new URL('./memory-program.ts', import.meta.url)
const naming = 'has a name and declares whether it keeps order'

describe('inboxContract with breakConnection', () => {
  const puts = 'a put() that loses its connection rejects or counts, and can be repeated'
  const between = 'a worker recovers from lost connections by itself'
  const idle = 'an idle worker that lost its connection picks up the next delivery'

  it('is kept by an inbox that has no connections', async () => {
    const options = { ...optionsFor(), breakConnection: () => {} }
    expect(await brokenRules(options, [puts, between, idle])).toEqual([])
  })

  it('catches an inbox that loses what it has accepted', async () => {
    const options = {
      ...impatientFor(MemoryInbox),
      breakConnection: (inbox: unknown) => (inbox as MemoryInbox).memory.clear(),
    }
    expect(await brokenRules(options, [puts, between])).toEqual([puts, between])
  })

  it('catches an inbox whose worker ends with its connection', async () => {
    const options = {
      ...impatientFor(MemoryInbox),
      breakConnection: (inbox: unknown) => (inbox as MemoryInbox).stop(),
    }
    expect(await brokenRules(options, [between, idle])).toEqual([between, idle])
  })
})

describe('inboxContract with program', { timeout: 120_000 }, () => {
  const program = (module: string) => ({
    ...impatientFor(MemoryInbox),
    program: () => ({ module }),
  })
  const rules = [
    'an accepted delivery survives its process being killed',
    'two processes run each delivery once',
    'a delivery whose process is killed runs elsewhere, as the next attempt',
  ]

  it('catches an inbox that keeps what it has in its process', async () => {
    const module = await compiledProgram(fileURLToPath(memoryProgram))
    expect(await brokenRules(program(module), rules)).toEqual(rules)
  })

  it('says what is wrong with a program that cannot be started', async () => {
    const [rule = ''] = rules
    const run = rulesOf(program('no-such-program.js')).get(rule)
    await expect(run?.()).rejects.toThrow('the program says: ended with 1')
  })
})
