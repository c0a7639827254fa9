/** The middle of some figures, with how far they scatter. */
export interface Spread {
  readonly median: number
  /** The 10th and the 90th percentile. */
  readonly low: number
  readonly high: number
}

/** Gives the median and the spread of some figures. */
export function spreadOf(figures: readonly number[]): Spread {
  const sorted = [...figures].sort((a, b) => a - b)
  return { median: at(sorted, 0.5), low: at(sorted, 0.1), high: at(sorted, 0.9) }
}

/** Gives the figure that this share of the figures does not exceed. */
export function percentile(figures: readonly number[], share: number): number {
  return at(
    [...figures].sort((a, b) => a - b),
    share,
  )
}

/** Divides figure by figure: those of one round were taken one after the other. */
export function ratios(figures: readonly number[], base: readonly number[]): readonly number[] {
  return figures.map((figure, index) => figure / (base[index] ?? Number.NaN))
}

/** Writes rows under their heads in columns: the first to the left, figures to the right. */
function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, ...rows]
  const widths = head.map((_, column) =>
    Math.max(...lines.map((line) => line[column]?.length ?? 0)),
  )
  return lines
    .map((line) =>
      line
        .map((cell, column) =>
          column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

/** A {@link table} for a terminal, and else each row in a line of its own that says it all. */
export function tableOrLines(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): string {
  if (process.stdout.isTTY) return table(head, rows)
  return rows
    .map((row) => {
      const cells = row.map((cell, column) => (column === 0 ? cell : `${head[column]} ${cell}`))
      return cells.filter((_, column) => row[column] !== '').join('; ')
    })
    .join('\n')
}

function at(sorted: readonly number[], share: number): number {
  const position = (sorted.length - 1) * share
  const below = sorted[Math.floor(position)] ?? Number.NaN
  const above = sorted[Math.ceil(position)] ?? Number.NaN
  return below + (above - below) * (position - Math.floor(position))
}
