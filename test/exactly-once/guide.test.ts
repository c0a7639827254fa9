import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { blockNamed } from '../docs/pages.ts'

const files = [
  'ledger.ts',
  'postgres.ts',
  'mysql.ts',
  'sqlite.ts',
  'postgres-js.ts',
  'drizzle.ts',
  'kysely.ts',
  'knex.ts',
  'prisma.ts',
]

describe('docs/exactly-once.md', () => {
  it.each(files)('shows %s as it is in examples/exactly-once, where it is tested', (file) => {
    const source = new URL(`../../examples/exactly-once/${file}`, import.meta.url)
    const { text } = blockNamed('docs/exactly-once.md', file)

    // Imported as it is without options of TypeScript's.
    const shown = text.replaceAll(/(from '\.\/[\w-]+)\.js'/g, "$1.ts'")
    expect(shown).toBe(`// ${file}\n${readFileSync(source, 'utf8')}`)
  })
})
