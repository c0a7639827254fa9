import { randomUUID } from 'node:crypto'
import { readFile, rm } from 'node:fs/promises'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { build } from 'tsup'
import { afterAll } from 'vitest'

type Plugin = NonNullable<NonNullable<Parameters<typeof build>[0]['esbuildPlugins']>>[number]

const root = fileURLToPath(new URL('../../', import.meta.url))
// Below the repository, where node_modules is found.
const folder = `${root}.tmp/programs-${randomUUID()}`
const compiled = new Map<string, Promise<string>>()

afterAll(() => rm(folder, { recursive: true, force: true }))

/**
 * Compiles a TypeScript program of this repository, with the library's source in it, and returns
 * the path of the JavaScript. A test file compiles each program once: starting one costs a third
 * of the processor time that `--import tsx` takes.
 */
export function compiledProgram(file: string): Promise<string> {
  const source = fileURLToPath(new URL(file, pathToFileURL(root)))
  let path = compiled.get(source)
  if (path === undefined) {
    path = compile(source, `program-${compiled.size}`)
    compiled.set(source, path)
  }
  return path
}

async function compile(source: string, name: string): Promise<string> {
  await build({
    config: false,
    entry: { [name]: source },
    tsconfig: `${root}tsconfig.json`,
    outDir: folder,
    format: ['esm'],
    target: 'node20',
    splitting: false,
    dts: false,
    silent: true,
    noExternal: [/^ringhook/],
    external: [/^[^./]/],
    esbuildPlugins: [modulesKeepTheirUrl(source)],
  })
  return `${folder}/${name}.js`
}

/** Imported modules know by `import.meta.url` that they aren't the program, and where they are. */
function modulesKeepTheirUrl(program: string): Plugin {
  return {
    name: 'modules keep their URL',
    setup({ onLoad }) {
      onLoad({ filter: /\.ts$/ }, async ({ path }) => {
        if (path === program || path.includes('/node_modules/')) return undefined
        const text = await readFile(path, 'utf8')
        if (!text.includes('import.meta.url')) return undefined
        const url = JSON.stringify(pathToFileURL(path).href)
        return { loader: 'ts', contents: text.replaceAll('import.meta.url', url) }
      })
    },
  }
}
