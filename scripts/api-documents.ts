/**
 * `npm run documents` writes the types of the providers' API documents into `src/api`. A test
 * fails when they are not what the documents say.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import openapiTypes, { astToString } from 'openapi-typescript'

const root = new URL('../', import.meta.url)

/** The documents, and the files that their types are written into. */
export const apiDocuments = [
  {
    document: new URL('test/vectors/krosai-openapi.json', root),
    file: new URL('src/api/krosai/webhooks-document.ts', root),
  },
  {
    document: new URL('test/vectors/krosai-deliveries-openapi.json', root),
    file: new URL('src/api/krosai/deliveries-document.ts', root),
  },
] as const

/** Gives the types of a document, as they are checked in. */
export async function typesOf(document: URL): Promise<string> {
  const types = await openapiTypes(await readFile(document, 'utf8'), {
    immutable: true,
    // What has a default may be left out of a request.
    defaultNonNullable: false,
  })
  const name = fileURLToPath(document).split(/[\\/]/).at(-1)
  return `/* Written by \`npm run documents\` from test/vectors/${name}. Do not edit. */\n\n${astToString(types)}`
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  for (const { document, file } of apiDocuments) await writeFile(file, await typesOf(document))
}
