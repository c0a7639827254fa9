/**
 * Returns a question that suggests the name probably meant, for the end of an error message:
 * ` Did you mean "secret"?`. Returns an empty string if no name is close enough to be a slip.
 */
export function didYouMean(word: string, names: Iterable<string>): string {
  const near = nearest(word, names)
  return near === undefined ? '' : ` Did you mean "${near}"?`
}

/** The name that takes the fewest single-character edits, if that is few enough to be a slip. */
function nearest(word: string, names: Iterable<string>): string | undefined {
  let best: string | undefined
  // Two transposed letters count as two edits.
  let fewest = word.length < 5 ? 2 : Math.max(3, Math.min(4, Math.ceil(word.length / 3)))
  for (const name of names) {
    const edits = editDistance(word, name)
    if (edits < fewest) [best, fewest] = [name, edits]
  }
  return best
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}
