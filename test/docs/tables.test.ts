import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import {
  callkaro,
  createReceiver,
  type DeliveryCode,
  type JsonObject,
  krosai,
  odis,
  type Provider,
  RinghookError,
} from 'ringhook'
import { describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { maxJsonDepth } from '../../src/core/event/json.ts'
import { accepted, answerFor, duplicate, handled, ignored } from '../../src/core/outcome/answers.ts'
import { settingsOf } from '../../src/core/receiver-internals.ts'
import {
  blocksOf,
  codeIn,
  headingsOf,
  pages,
  root,
  tableOf,
  textOf,
  unionOf,
  withoutBlocks,
} from './pages.ts'

const providers = [krosai, odis, callkaro] as const
const setupCodes = unionOf('src/core/errors.ts', 'SetupCode')
const deliveryCodes = unionOf('src/core/errors.ts', 'DeliveryCode') as readonly DeliveryCode[]
const attemptCodes = unionOf('src/core/errors.ts', 'AttemptCode')
const handlerCodes = unionOf('src/core/errors.ts', 'HandlerCode')
const storeCodes = unionOf('src/core/errors.ts', 'StoreCode')
const apiCodes = unionOf('src/core/errors.ts', 'ApiCode')

describe('README.md', () => {
  it('has a row for every entry of the package, which names all that it exports', async () => {
    const rows = tableOf('README.md', ['entry', 'exports'])
    const exported = Object.keys(manifest.exports).filter((name) => name !== './package.json')
    expect(rows.map(([entry]) => codeIn(entry)[0])).toEqual(
      exported.map((name) => `ringhook${name.slice(1)}`),
    )
    for (const [entry = '', names = ''] of rows) {
      const file = entry === '`ringhook`' ? 'index' : codeIn(entry)[0]?.slice('ringhook/'.length)
      const url = new URL(`../../src/${file}.ts`, import.meta.url).href
      const values = Object.keys(await import(url))
      const documented = names.startsWith('the same four')
        ? rows.find(([name]) => name === '`ringhook/express`')?.[1]
        : names
      expect(
        codeIn(documented)
          .map((code) => code.replace(/\(.*/, ''))
          .sort(),
        file,
      ).toEqual(values.sort())
    }
  })

  it('has a row for every status and outcome', () => {
    const documented = tableOf('README.md', ['status', 'outcome', 'when']).flatMap(
      ([statuses = '', outcome]) =>
        statuses.split(', ').map((status) => `${status} ${codeIn(outcome)[0]}`),
    )
    const answers = [
      handled,
      accepted,
      duplicate,
      ignored,
      ...deliveryCodes.map((code) => answerFor(code)),
    ]
    const real = answers.map(({ status, outcome }) => `${status} ${outcome}`)
    // The one status that is not the code's own.
    expect(documented.sort()).toEqual([...new Set([...real, '200 invalid'])].sort())
  })

  describe('options', () => {
    const rows = tableOf('README.md', ['option', 'default', 'bounds', 'meaning'])
    const rowOf = (name: string) => rows.find(([option]) => codeIn(option)[0] === name) ?? []

    it('has a row for every option, in the order of the code', () => {
      const names = /Options: (.*?)\./.exec(refusal(krosai, { nope: 1 }))?.[1]?.split(', ')
      expect(rows.map(([option]) => codeIn(option)[0]).sort()).toEqual(names?.sort())
    })

    it.each([
      'maxBodyBytes',
      'bodyTimeoutMs',
      'ackDeadlineMs',
      'leaseMs',
      'retentionMs',
      'clockToleranceMs',
      'maxHoldMs',
    ])('has the default and the bounds of %s', (name) => {
      const [, preset = '', bounds = ''] = rowOf(name)
      for (const provider of providers) {
        const words = refusal(provider, { [name]: 'no number' })
        const numbers = /from (\d+) to (\d+)\. The default is (\d+)\./.exec(words)
        const [least, most, standard] = (numbers ?? []).slice(1).map(Number)
        expect(bounds.split(' to ').map(amount)).toEqual([least, most])
        expect(amount(defaultFor(provider, preset)), provider.name).toBe(standard)
      }
    })

    it.each(['onStoreError', 'invalidEvents'] as const)('has the default of %s', (name) => {
      const [, preset = '', bounds] = rowOf(name)
      for (const provider of providers) {
        const set = settingsOf(build(provider, {}))?.[name]
        expect(codeIn(defaultFor(provider, preset)), provider.name).toEqual([`'${set}'`])
        expect(refusal(provider, { [name]: 'else' })).toContain(codeIn(bounds).join(' or '))
      }
    })

    it('has the least length of a urlToken', () => {
      const least = Number.parseInt(rowOf('urlToken')[2] ?? '', 10)
      const token = 'f3a91c6e5b7d4820'.repeat(4)
      expect(refusal(callkaro, { urlToken: token.slice(0, least - 1) })).toContain(
        `${least} characters`,
      )
      expect(build(callkaro, { urlToken: token.slice(0, least) })).toBeDefined()
    })

    it('has the least length of a secret', () => {
      const least = Number.parseInt(rowOf('secret')[2] ?? '', 10)
      const secret = 'f3a91c6e5b7d4820'.repeat(4)
      expect(refusal(krosai, { secret: secret.slice(0, least - 1) })).toContain(
        `${least} characters`,
      )
      expect(build(krosai, { secret: secret.slice(0, least) })).toBeDefined()
    })

    it('says for how long an event stays in the store', () => {
      const limits = { retentionMs: 60_000, clockToleranceMs: 7, ackDeadlineMs: 100 }
      const { retentionMs, maxAgeMs } = settingsOf(build(krosai, limits)) ?? {}
      expect(maxAgeMs).toBe(60_000)
      expect(retentionMs).toBe(60_107)
      expect(rowOf('retentionMs')[3]).toContain('`clockToleranceMs` and `ackDeadlineMs` longer')
    })
  })

  it('has the providers as they are defined', () => {
    const rows = tableOf('README.md', ['', 'KrosAI', 'ODIS AI', 'CallKaro AI'])
    const row = (name: string) => rows.find(([label]) => label === name)?.slice(1) ?? []
    for (const [index, provider] of providers.entries()) {
      const cell = (name: string) => row(name)[index] ?? ''
      const { delivery, signature } = provider
      const header = signature === false ? undefined : signature.header
      expect(codeIn(cell('name'))).toEqual([provider.name])
      expect(cell('events').match(/\d+/g)?.map(Number)).toEqual([
        ...new Set([Object.keys(provider.events).length, provider.canonicalNames.size]),
      ])
      expect(codeIn(cell('signature header'))[0]?.toLowerCase()).toBe(header)
      expect(cell('timestamp')).toBe(provider.signedTimestamp ? 'in the signed body' : 'none')
      expect(cell('addresses')).toBe(orNot(delivery.addresses?.join(', ')))
      expect(cell('waits for an answer')).toBe(
        orNot(delivery.timeoutMs && `${delivery.timeoutMs / 1_000} s`),
      )
      expect(cell('sends an event twice').startsWith('yes')).toBe(delivery.copies !== undefined)
      expect(cell('attempts').includes('5 failures')).toBe(delivery.disabledAfterFailures === 5)
    }
    const [first = ''] = row('attempts')
    expect([0, ...[...first.matchAll(/\d+ (?:min|h)/g)].map(([text]) => amount(text))]).toEqual(
      krosai.delivery.retryDelaysMs,
    )
    expect(row('attempts')[1]).toMatch(/^the same/)
    expect(odis.delivery.retryDelaysMs).toEqual(krosai.delivery.retryDelaysMs)
    expect(row('attempts')[2]).toBe('not documented')
  })

  it('says how deep a body may be', () => {
    expect(textOf('README.md')).toContain(`deeper than ${maxJsonDepth} levels`)
    expect(textOf('SECURITY.md')).toContain(`| ${maxJsonDepth} levels |`)
    expect(textOf('docs/errors.md')).toContain(`more than ${maxJsonDepth} levels`)
  })
})

describe('docs/errors.md', () => {
  it('has a section for every code, under the anchor that messages name', () => {
    const headings = headingsOf('docs/errors.md').filter(({ level }) => level === 3)
    const codes = [
      ...setupCodes,
      ...deliveryCodes,
      ...attemptCodes,
      ...handlerCodes,
      ...storeCodes,
      ...apiCodes,
    ]
    expect(headings.map(({ text }) => text)).toEqual(codes)
    const anchors = anchorsOf('docs/errors.md')
    for (const code of codes) expect(anchors).toContain(code.toLowerCase())
  })

  it('has the status and the outcome of every delivery code', () => {
    const rows = tableOf('docs/errors.md', ['code', 'status', 'outcome'])
    expect(
      rows.map(([code, status, outcome]) => [/\w+/.exec(code ?? '')?.[0], Number(status), outcome]),
    ).toEqual(
      deliveryCodes.map((code) => {
        const { status, outcome } = answerFor(code)
        return [code, status, `\`${outcome}\``]
      }),
    )
  })

  it('says in each section what the cause is, what the sender sees, and what to do', () => {
    const sections = textOf('docs/errors.md').split(/^### /m).slice(1)
    for (const section of sections) {
      const code = section.split('\n')[0] as DeliveryCode
      expect(section, code).toMatch(
        /\*\*Cause\.\*\* .+\n\n\*\*The sender sees\*\* .+\n\n\*\*Remedy\.\*\* /,
      )
      if (!deliveryCodes.includes(code)) continue
      const { status, outcome } = answerFor(code)
      expect(section, code).toContain(`**The sender sees** ${status} \`${outcome}\``)
    }
  })
})

describe.each(providers)('docs/providers/$name.md', (provider: Provider) => {
  const columns = ['canonical name', 'also sent as', 'documented sample', 'optional fields']
  const rows = tableOf(`docs/providers/${provider.name}.md`, columns)

  it('has every event, with its aliases, whether there is a sample, and what is optional', () => {
    const defined = Object.entries(provider.events).map(([name, event]) => [
      name,
      event.aliases ?? [],
      event.samples === undefined ? 'no' : 'yes',
      optionalFields(event.schema, Object.values(event.samples ?? {})),
    ])
    expect(
      rows.map(([name, aliases, sample, optional]) => [
        codeIn(name)[0],
        codeIn(aliases),
        sample,
        codeIn(optional),
      ]),
    ).toEqual(defined)
  })
})

describe('every page', () => {
  it.each(pages)('%s has links that lead somewhere', (page) => {
    for (const [, target = ''] of withoutBlocks(page).matchAll(/\]\(([^)\s]+)\)/g)) {
      if (/^https:/.test(target)) continue
      const [path = '', anchor] = target.split('#')
      const file = path === '' ? page : normalize(join(dirname(page), path))
      expect(existsSync(join(root, file)), `${page}: ${target}`).toBe(true)
      if (anchor !== undefined) expect(anchorsOf(file), `${page}: ${target}`).toContain(anchor)
    }
  })

  it('in docs/ is linked to from another page', () => {
    const linked = pages.flatMap((page) =>
      [...textOf(page).matchAll(/\]\(([^)\s#]+)/g)].map((match) =>
        normalize(join(dirname(page), match[1] ?? '')),
      ),
    )
    for (const page of pages) if (page.startsWith('docs/')) expect(linked).toContain(page)
  })

  it('in decisions/ has its number, and says why, what was rejected, and when to look again', () => {
    const decisions = pages.filter((page) => page.startsWith('decisions/'))
    expect(decisions.length).toBeGreaterThan(0)
    for (const [index, page] of decisions.entries()) {
      expect(page).toMatch(
        new RegExp(`^decisions/${String(index + 1).padStart(3, '0')}-[a-z0-9-]+\\.md$`),
      )
      expect(
        headingsOf(page)
          .slice(1)
          .map(({ text }) => text),
      ).toEqual(['Why', 'Rejected', 'Revisit when'])
    }
  })
})

describe('CHANGELOG.md', () => {
  it('has a section for the version of the package', () => {
    const versions = headingsOf('CHANGELOG.md').map(({ text }) => text.split(' ')[0])
    expect(versions).toContain(manifest.version)
  })
})

describe('CONTRIBUTING.md', () => {
  const tree = blocksOf('CONTRIBUTING.md').find(({ text }) => text.includes('src/  '))?.text ?? ''
  const entries = [...tree.matchAll(/^( *)([\w.-]+)\/ +(.+)$/gm)].map((match) => ({
    path: match[1] === '' ? `${match[2]}` : `src/${match[2]}`,
    isBuilt: !match[3]?.endsWith('(not built yet)'),
  }))

  it('has the folders that there are, and says which ones are not built yet', () => {
    const built = entries.filter(({ isBuilt }) => isBuilt).map(({ path }) => path)
    const folders = [...foldersIn(''), ...foldersIn('src').map((name) => `src/${name}`)]
    expect(built.sort()).toEqual(folders.sort())
    for (const { path, isBuilt } of entries)
      expect(existsSync(join(root, path)), path).toBe(isBuilt)
  })

  it('names commands that there are', () => {
    const inWords = codeIn(withoutBlocks('CONTRIBUTING.md'))
    const inBlocks = blocksOf('CONTRIBUTING.md').flatMap(({ text }) => text.split('\n'))
    const named = [...inWords, ...inBlocks].flatMap(
      (line) => /^npm (?:run )?(\w+)/.exec(line)?.[1] ?? [],
    )
    expect(named.length).toBeGreaterThan(3)
    expect(['install', ...Object.keys(manifest.scripts)]).toEqual(expect.arrayContaining(named))
  })
})

function build(provider: Provider, options: JsonObject) {
  const protection =
    provider.signature === false ? { allowUnsigned: true } : { secret: 'a secret for tests' }
  // Without handlers it would warn.
  const quiet = { logger: false, ...protection }
  return createReceiver<Provider>(provider, { ...quiet, ...options } as never)
}

/** The message with which options are refused. */
function refusal(provider: Provider, options: JsonObject): string {
  try {
    build(provider, options)
  } catch (error) {
    if (error instanceof RinghookError) return error.message
    throw error
  }
  throw new Error(`${JSON.stringify(options)} was not refused`)
}

/** `10 s; CallKaro 4500 ms` is `4500 ms` for CallKaro and `10 s` for the others. */
function defaultFor({ name }: Provider, cell: string): string {
  const [common = '', ...special] = cell.split('; ')
  const own = special.find((part) => part.toLowerCase().startsWith(name))
  return own === undefined ? common : own.slice(own.indexOf(' ') + 1)
}

const units: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  min: 60_000,
  h: 3_600_000,
  day: 86_400_000,
  byte: 1,
  MiB: 1_048_576,
}

/** `5 min` in milliseconds, `1 MiB` in bytes. */
function amount(text: string): number {
  const [number, unit = ''] = text.split(' ')
  return Number(number) * (units[unit] ?? units[unit.replace(/s$/, '')] ?? Number.NaN)
}

function orNot(text: string | number | undefined): string {
  return text === undefined ? 'not documented' : String(text)
}

/** The fields of the samples that an event may lack, in the order of the samples. */
function optionalFields(
  schema: Provider['events'][string]['schema'],
  samples: readonly JsonObject[],
): readonly string[] {
  const all = samples.map(({ data }) => data as JsonObject)
  const fields = new Set(all.flatMap((data) => Object.keys(data)))
  return [...fields].filter((field) =>
    all.every((data) => {
      const rest = Object.fromEntries(Object.entries(data).filter(([name]) => name !== field))
      return schema.safeParse(rest).success
    }),
  )
}

/** The anchors of a page, as GitHub makes them of its headings. */
function anchorsOf(page: string): readonly string[] {
  return headingsOf(page).map(({ text }) =>
    text
      .toLowerCase()
      .replace(/[^\p{L}\p{N}_ -]/gu, '')
      .replaceAll(' ', '-'),
  )
}

/** The folders in a folder that are under version control, by .gitignore. */
function foldersIn(folder: string): readonly string[] {
  const untracked = readFileSync(join(root, '.gitignore'), 'utf8').split('\n')
  return readdirSync(join(root, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && entry.name !== '.git')
    .map(({ name }) => name)
    .filter((name) => !untracked.includes(`${name}/`))
}
