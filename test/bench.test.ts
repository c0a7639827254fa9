import { execFile } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { compare, noiseOf } from '../bench/guard.ts'
import { plotsOf } from '../bench/plots.ts'
import {
  type Column,
  type Figure,
  figureOf,
  type PlacedReport,
  pageOf,
  type Row,
  textOf,
} from '../bench/report.ts'

/** Runs benchmarks in as few rounds as can be: what they measure then says nothing. */
async function bench(...words: readonly string[]): Promise<string> {
  const program = ['--import', 'tsx', 'bench/run.ts', ...words, '--quick']
  return (await promisify(execFile)(process.execPath, program)).stdout
}

async function reportOf(...words: readonly string[]): Promise<PlacedReport> {
  return JSON.parse(await bench(...words, '--json')) as PlacedReport
}

function rowsOf({ sections }: PlacedReport, title: string): readonly string[] {
  return (
    sections.find((section) => section.title.startsWith(title))?.rows.map(({ name }) => name) ?? []
  )
}

/** Every figure of a report, and whether each is a number. */
function expectNumbers({ sections }: PlacedReport): void {
  for (const { title, columns, rows } of sections) {
    expect(rows.length, title).toBeGreaterThan(0)
    for (const { name, figures } of rows) {
      const known = columns.map((column) => column.name)
      expect(known, `${title}, ${name}`).toEqual(expect.arrayContaining(Object.keys(figures)))
      for (const { median, low, high } of Object.values(figures)) {
        expect([median, low, high].every(Number.isFinite), `${title}, ${name}`).toBe(true)
      }
    }
  }
}

const peers = ['@octokit/webhooks', 'stripe', 'standardwebhooks', 'svix', '@hookflo/tern']

describe('npm run bench', () => {
  // It installs what it measures ringhook beside.
  it('measures the pipeline beside its floor and its peers, body by body', async () => {
    const report = await reportOf('pipeline')
    expectNumbers(report)
    expect(report.machine.node).toBe(process.version)
    expect(Object.keys(report.machine.versions)).toEqual(expect.arrayContaining(peers))
    for (const bytes of [430, 65_536]) {
      const rows = rowsOf(report, `${bytes} bytes`)
      expect(rows.slice(0, 3)).toEqual(['floor', 'by hand', 'ringhook, handled'])
      expect(rows).toEqual(expect.arrayContaining(peers))
    }
  }, 180_000)

  it('ends where an answer is wrong', async () => {
    await expect(bench('pipeline', '--wrong')).rejects.toThrow(
      /0 of 200 were taken as they should be/,
    )
  }, 180_000)

  it('measures every framework over HTTP, beside the same by hand and by octokit', async () => {
    const report = await reportOf('http')
    expectNumbers(report)
    for (const title of ['Express 5', 'Koa 3', 'Fastify 5', 'node:http']) {
      expect(rowsOf(report, title)).toEqual(['bare', 'by hand', '@octokit/webhooks', 'ringhook'])
    }
  }, 180_000)

  it('measures what a delivery costs as something grows', async () => {
    const report = await reportOf('scale')
    expectNumbers(report)
    expect(report.sections.map(({ title }) => title)).toEqual([
      'remembered events, in memory',
      'remembered events, in Postgres',
      'handlers',
      'secrets',
      'bytes of the body',
      'simultaneous deliveries',
    ])
  }, 180_000)

  it('soaks an endpoint with all that can come, and holds every answer against what it has to be', async () => {
    const report = await reportOf('soak')
    expectNumbers(report)
    const whole = report.sections.find(({ title }) => title === 'from the start to the end')
    const [note = ''] = whole?.notes ?? []
    for (const kind of ['new', 'duplicate', 'failing', 'repeated', 'forged', 'aborted']) {
      expect(note).toMatch(new RegExp(`[1-9]\\d* ${kind}\\b`))
    }
  }, 60_000)

  it('measures what an import and a bundle take, entry by entry', async () => {
    const report = await reportOf('start')
    expectNumbers(report)
    const imports = rowsOf(report, 'an import')
    expect(imports).toEqual(
      expect.arrayContaining(['zod', 'ringhook', 'ringhook/express', ...peers]),
    )
    expect(imports.at(-1)).toBe('ringhook/express, beyond zod and express')
  }, 300_000)

  it('measures a store to the end, and says how it compares with the same by hand', async () => {
    const report = await reportOf('stores', 'memory')
    expectNumbers(report)
    expect(rowsOf(report, 'memory: compared with Map.has, Map.set')).toEqual([
      '1 workers',
      '64 workers',
      '256 workers',
    ])
  }, 60_000)

  it('measures an inbox to the end, over the bare commit of its engine', async () => {
    const report = await reportOf('inbox', 'sqlite')
    expectNumbers(report)
    expect(rowsOf(report, 'sqlite: compared with one INSERT per transaction')).toEqual([
      '1 workers',
      '64 workers',
    ])
    expect(rowsOf(report, 'sqlite: working off a backlog')).toEqual(['1000 deliveries'])
  }, 120_000)

  it.each([
    [['kafka'], 'No benchmark is called kafka.'],
    [['stores', 'mongodb'], 'No part of stores is called mongodb. There are: memory;'],
    [['inbox', 'kafka'], 'No part of inbox is called kafka. There are: sqlite;'],
  ])(
    'refuses %j, which it does not know',
    async (words, message) => {
      await expect(bench(...words)).rejects.toThrow(message)
    },
    60_000,
  )
})

describe('a report', () => {
  const less: Column = { name: '× floor', better: 'less' }
  const more: Column = { name: 'claims ÷ floor', better: 'more' }
  const raw: Column = { name: 'µs' }
  const report = (figures: Row['figures']): PlacedReport => ({
    name: 'pipeline',
    title: 'A report',
    machine: {
      node: 'v20.1.0',
      processor: 'one',
      cores: 2,
      system: 'Linux',
      versions: { zod: '4' },
    },
    sections: [
      {
        title: '430 bytes',
        columns: [less, more, raw],
        rows: [{ name: 'ringhook', figures, says: 'the whole job' }],
        plot: { kind: 'bars', column: less.name },
      },
    ],
  })
  const figure = (median: number, half = 0.02): Figure => ({
    median,
    low: median * (1 - half),
    high: median * (1 + half),
  })

  it('takes the median of the rounds, and says how far they scatter', () => {
    expect(figureOf([3, 1, 2, 5, 4], { atMost: 2 })).toEqual({
      median: 3,
      low: expect.closeTo(1.4),
      high: expect.closeTo(4.6),
      aim: { atMost: 2 },
    })
  })

  it('says which aims were met, in the text and on the page, and draws its rows', () => {
    const missed = report({ [less.name]: { ...figure(2), aim: { atMost: 1.5 } } })
    const line = 'missed: 430 bytes, ringhook, × floor: 2.00, aim at most 1.5'
    expect(textOf(missed)).toContain(line)
    expect(pageOf(missed, ['pipeline.svg'])).toContain(`- ${line}`)
    expect(pageOf(missed, ['pipeline.svg'])).toContain(
      '| ringhook | 2.00 | 1.96–2.04 |  |  | the whole job |',
    )
    const [svg = ''] = plotsOf(missed)
    expect(svg).toMatch(
      /^<svg [^>]*>\n<title>430 bytes: × floor<\/title>.*>ringhook<.*>2\.00<.*<\/svg>\n$/s,
    )
  })

  it.each([
    ['is the same', { [less.name]: figure(2) }, 0],
    ['is within its noise', { [less.name]: figure(2.1) }, 0],
    ['is better', { [less.name]: figure(1), [more.name]: figure(4) }, 0],
    ['costs more', { [less.name]: figure(2.2) }, 1],
    ['does less', { [more.name]: figure(0.9) }, 1],
    ['took longer, which is not a ratio', { [raw.name]: figure(99) }, 0],
  ])('is guarded: %s', (_, figures, count) => {
    const before = report({ [less.name]: figure(2), [more.name]: figure(1), [raw.name]: figure(1) })
    expect(compare(report(figures), before).regressions).toHaveLength(count)
  })

  it('is not guarded where it is next to nothing', () => {
    const small = (median: number) => report({ [less.name]: figure(median) })
    expect(compare(small(0.06), small(0.02)).regressions).toEqual([])
    expect(compare(small(0.08), small(0.02)).regressions).toHaveLength(1)
  })

  it('is guarded with the noise that the reference has', () => {
    const wide = report({ [less.name]: figure(2, 0.2) })
    expect(noiseOf(figure(2, 0.2))).toBeCloseTo(0.2)
    expect(compare(report({ [less.name]: figure(2.3) }), wide).regressions).toEqual([])
    expect(compare(report({ [less.name]: figure(2.5) }), wide).regressions).toEqual([
      { figure: '430 bytes, ringhook, × floor', was: 2, is: 2.5, noise: expect.closeTo(0.2) },
    ])
  })
})

describe('docs/performance', () => {
  const published = (node: number, name: string) =>
    new URL(`../docs/performance/node-${node}/${name}`, import.meta.url)
  const names = ['pipeline', 'http', 'start', 'scale']

  it.each([
    [20, [...names, 'soak', 'stores', 'inbox']],
    [24, names],
  ] as const)('has the reports of Node %i, whose pages say what their JSON says', (node, all) => {
    for (const name of all) {
      const report = JSON.parse(
        readFileSync(published(node, `${name}.json`), 'utf8'),
      ) as PlacedReport
      const page = readFileSync(published(node, `${name}.md`), 'utf8')
      const plots = [...page.matchAll(/\]\((.+\.svg)\)/g)].map(([, file = '']) => file)
      expect(plots.length, name).toBe(plotsOf(report).length)
      for (const file of plots) expect(existsSync(published(node, file)), file).toBe(true)
      expect(pageOf(report, plots), name).toBe(page)
      expect(report.machine.node).toMatch(new RegExp(`^v${node}\\.`))
    }
  })

  it('is quoted as it is by the README', () => {
    const quoted = [
      ['http', 'Express 5, ringhook and the others', 'ringhook ÷ by hand'],
      ['pipeline', '430 bytes, ringhook and the others', 'ringhook ÷ standardwebhooks'],
      ['pipeline', '430 bytes, ringhook and the others', 'forged ÷ genuine'],
    ] as const
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    const [, table = ''] = /\| Node 20 \| Node 24 \|\n.*\n((?:\|.*\n)+)/.exec(readme) ?? []
    const figures = table
      .trim()
      .split('\n')
      .map((line) =>
        line
          .split('|')
          .slice(2, 4)
          .map((cell) => cell.trim()),
      )
    const expected = quoted.map(([name, title, row]) =>
      [20, 24].map((node) => {
        const text = readFileSync(published(node, `${name}.json`), 'utf8')
        const { sections } = JSON.parse(text) as PlacedReport
        const section = sections.find((one) => one.title === title)
        return section?.rows.find((one) => one.name === row)?.figures['CPU']?.median.toFixed(2)
      }),
    )
    expect(figures).toEqual(expected)
  })
})
