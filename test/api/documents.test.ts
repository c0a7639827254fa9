import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { apiDocuments, typesOf } from '../../scripts/api-documents.ts'

describe('npm run documents', () => {
  it.each(apiDocuments)('are what the document says: $document', async ({ document, file }) => {
    const checkedIn = await readFile(file, 'utf8')

    expect(checkedIn, `run npm run documents: ${fileURLToPath(file)}`).toBe(await typesOf(document))
  })
})
