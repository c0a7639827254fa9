import type { Column, Figure, Report } from './report.ts'

/** A ratio that is worse than it was. */
export interface Regression {
  /** Which one, in words. */
  readonly figure: string
  readonly was: number
  readonly is: number
  /** By how much of itself it may scatter. */
  readonly noise: number
}

/** What a ratio may scatter by from one run to the next, whatever one run says. */
const leastNoise = 0.07
/** What a ratio has to differ by at least: small parts of a whole scatter by all that they are. */
const leastDifference = 0.05

export interface Comparison {
  /** How many ratios of the run the committed one has too. */
  readonly compared: number
  readonly regressions: readonly Regression[]
}

/** Holds the ratios of a run against those of the committed one. */
export function compare(report: Report, reference: Report): Comparison {
  const known = new Map(ratiosOf(reference).map(([name, , figure]) => [name, figure]))
  const regressions: Regression[] = []
  let compared = 0
  for (const [name, column, { median: is }] of ratiosOf(report)) {
    const before = known.get(name)
    if (before === undefined) continue
    compared++
    const { median: was } = before
    const noise = noiseOf(before)
    const isWorse = column.better === 'less' ? is > was * (1 + noise) : is < was / (1 + noise)
    if (isWorse && Math.abs(is - was) > leastDifference) {
      regressions.push({ figure: name, was, is, noise })
    }
  }
  return { compared, regressions }
}

/** Half of the way from its 10th to its 90th percentile, and not less than a run differs by anyway. */
export function noiseOf({ median, low, high }: Figure): number {
  return Math.max(leastNoise, (high - low) / 2 / median)
}

function ratiosOf({ sections }: Report): readonly (readonly [string, Column, Figure])[] {
  return sections.flatMap(({ title, columns, rows }) =>
    rows.flatMap((row) =>
      columns.flatMap((column) => {
        const figure = row.figures[column.name]
        if (column.better === undefined || figure === undefined) return []
        return [[`${title}, ${row.name}, ${column.name}`, column, figure] as const]
      }),
    ),
  )
}
