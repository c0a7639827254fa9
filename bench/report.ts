/**
 * What every benchmark gives: sections of rows whose figures were taken in one run. The table, the
 * JSON, the page, the plot and the guard are made of it.
 */
import { type Spread, spreadOf, tableOrLines } from './statistics.ts'

/** What a benchmark is asked for. */
export interface BenchOptions {
  /** What to measure of a benchmark that has parts. None: all of them. */
  readonly parts: readonly string[]
  /** Fewer rounds, and nothing that takes minutes: to see that it runs. */
  readonly isQuick: boolean
  /** Plants a subject that answers wrongly, to see that it is found out. */
  readonly isWrong: boolean
}

/** What a figure is to reach. */
export type Aim = { readonly atMost: number } | { readonly atLeast: number }

/** One cell: the median of the rounds, with its spread. */
export interface Figure extends Spread {
  readonly aim?: Aim
}

export interface Column {
  readonly name: string
  /** Digits behind the point. Default: 2. */
  readonly digits?: number
  /**
   * The column is a ratio between things measured in turn, fit to be compared with another run, and
   * this is the better direction. Not set: the machine is in it.
   */
  readonly better?: 'less' | 'more'
}

export interface Row {
  readonly name: string
  /** By the name of the column. */
  readonly figures: Readonly<Record<string, Figure>>
  /** In words, behind the figures. */
  readonly says?: string
}

/** What is drawn of a section: a bar for each row, or a line over what the names of the rows count. */
export interface Plot {
  readonly kind: 'bars' | 'line'
  readonly column: string
}

export interface Section {
  readonly title: string
  readonly columns: readonly Column[]
  readonly rows: readonly Row[]
  readonly plot?: Plot
  /** What has to be known to read the figures. */
  readonly notes?: readonly string[]
}

export interface Report {
  /** The name of the benchmark, as the command takes it. */
  readonly name: string
  readonly title: string
  readonly sections: readonly Section[]
}

/** A report with where it comes from. */
export interface PlacedReport extends Report {
  readonly machine: Machine
}

export interface Machine {
  readonly node: string
  readonly processor: string
  readonly cores: number
  readonly system: string
  /** Of what is measured, by name. */
  readonly versions: Readonly<Record<string, string>>
}

/** Makes a figure of one value for each round. */
export function figureOf(values: readonly number[], aim?: Aim): Figure {
  const spread = spreadOf(values)
  return aim === undefined ? spread : { ...spread, aim }
}

/** Every figure of a report that has an aim, in words. */
function aimsOf({ sections }: Report): readonly string[] {
  return sections.flatMap(({ title, rows, columns }) =>
    rows.flatMap((row) =>
      columns.flatMap((column) => {
        const figure = row.figures[column.name]
        if (figure?.aim === undefined) return []
        const { median, aim } = figure
        const [isMet, bound] =
          'atMost' in aim
            ? [median <= aim.atMost, `at most ${aim.atMost}`]
            : [median >= aim.atLeast, `at least ${aim.atLeast}`]
        return [
          `${isMet ? 'met' : 'missed'}: ${title}, ${row.name}, ${column.name}: ${written(median, column)}, aim ${bound}`,
        ]
      }),
    ),
  )
}

/** The report for a terminal, or as plain lines. */
export function textOf(report: PlacedReport): string {
  const { title, machine, sections } = report
  const parts = sections.map(
    (section) =>
      `${section.title}\n\n${tableOrLines(
        headsOf(section),
        section.rows.map((row) => cellsOf(section, row)),
      )}${notesOf(section)}`,
  )
  return [`${title}. ${placeOf(machine)}`, ...parts, aimsOf(report).join('\n')].join('\n\n')
}

/** The report as a page, with its plots. */
export function pageOf(report: PlacedReport, plots: readonly string[]): string {
  const { name, title, machine, sections } = report
  const parts = sections.map((section) => {
    const heads = headsOf(section)
    const rows = section.rows.map((row) => cellsOf(section, row))
    const rule = heads.map((_, index) => (index === 0 ? '---' : '---:'))
    const lines = [heads, rule, ...rows].map((cells) => `| ${cells.join(' | ')} |`)
    return `## ${section.title}\n\n${lines.join('\n')}${notesOf(section)}`
  })
  const aims = aimsOf(report).map((line) => `- ${line}`)
  return `${[
    `# ${title}, on Node ${majorOf(machine.node)}`,
    `Written by \`npm run bench -- ${name}\`. ${placeOf(machine)} ${versionsOf(machine)}`,
    ...plots.map((file) => `![${title}](${file})`),
    ...parts,
    ...(aims.length === 0 ? [] : [`## Aims\n\n${aims.join('\n')}`]),
  ].join('\n\n')}\n`
}

/** The major version of a Node, as in `v20.20.2`. */
export function majorOf(node: string): number {
  return Number(/^v(\d+)/.exec(node)?.[1])
}

function headsOf({ columns, rows }: Section): readonly string[] {
  const heads = columns.flatMap((column) =>
    showsSpread(column, rows) ? [column.name, 'p10–p90'] : [column.name],
  )
  return ['', ...heads, ...(rows.some(({ says }) => says) ? ['does'] : [])]
}

function cellsOf({ columns, rows }: Section, row: Row): readonly string[] {
  const cells = columns.flatMap((column) => {
    const figure = row.figures[column.name]
    const isSpread = showsSpread(column, rows)
    if (figure === undefined) return isSpread ? ['', ''] : ['']
    const median = written(figure.median, column)
    if (!isSpread) return [median]
    return [median, `${written(figure.low, column)}–${written(figure.high, column)}`]
  })
  return [row.name, ...cells, ...(rows.some(({ says }) => says) ? [row.says ?? ''] : [])]
}

function showsSpread({ name, better }: Column, rows: readonly Row[]): boolean {
  if (better === undefined) return false
  return rows.some(({ figures }) => {
    const figure = figures[name]
    return figure !== undefined && figure.low !== figure.high
  })
}

function written(value: number, { digits = 2 }: Column): string {
  return value.toFixed(digits)
}

function notesOf({ notes = [] }: Section): string {
  return notes.map((note) => `\n\n${note}`).join('')
}

function placeOf({ node, processor, cores, system }: Machine): string {
  return `Node ${node}, ${processor}, ${cores} cores, ${system}.`
}

function versionsOf({ versions }: Machine): string {
  return Object.entries(versions)
    .map(([name, version]) => `${name} ${version}`)
    .join(', ')
    .concat('.')
}
