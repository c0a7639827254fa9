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
/** A twentieth of what it is compared with is not looked at: the small parts scatter by all they are. */
const leastDifference = 0.05

/** Holds the ratios of a run against those of the committed one. Gives those that are worse. */
export function regressionsOf(report: Report, reference: Report): readonly Regression[] {
  return ratiosOf(report).flatMap(([name, column, figure]) => {
    const before = ratiosOf(reference).find(([known]) => known === name)?.[2]
    if (before === undefined) return []
    const noise = noiseOf(before)
    const change = figure.median / before.median
    const isWorse = column.better === 'less' ? change > 1 + noise : change < 1 / (1 + noise)
    const matters = Math.abs(figure.median - before.median) > leastDifference
    return isWorse && matters
      ? [{ figure: name, was: before.median, is: figure.median, noise }]
      : []
  })
}

/** How many ratios of a run have one to be held against. */
export function comparedWith(report: Report, reference: Report): number {
  const known = new Set(ratiosOf(reference).map(([name]) => name))
  return ratiosOf(report).filter(([name]) => known.has(name)).length
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
