import { readFileSync } from 'node:fs'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { run } from './process.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const tools = join(root, 'node_modules', '.bin')
const entries = Object.keys(manifest.exports)
  .filter((name) => name !== './package.json')
  .map((name) => (name === '.' ? 'index' : name.slice(2)))

/** Node comes as an npm package for this platform only. */
const otherNodes = process.platform === 'linux' && process.arch === 'x64' ? ['22', '24', '26'] : []
if (otherNodes.length === 0) {
  console.log('not run: the consumers under Node 22, 24 and 26, which need linux x64')
}

let room: string
let tarball: string
let packed: string[]

beforeAll(async () => {
  room = await mkdtemp(join(tmpdir(), 'ringhook-package-'))
  const { stdout } = await run('npm', ['pack', '--json', '--pack-destination', room])
  const description = packDescription(JSON.parse(stdout))
  tarball = join(room, description.filename)
  packed = description.files.map(({ path }) => path)
})

afterAll(async () => {
  await rm(room, { recursive: true, force: true })
})

describe('the packed package', () => {
  it('holds every entry as ESM and CommonJS with types for both', () => {
    const built = entries.flatMap((entry) =>
      ['js', 'cjs', 'd.ts', 'd.cts'].map((ending) => `dist/${entry}.${ending}`),
    )

    expect(packed).toEqual(expect.arrayContaining(built))
  })

  it('holds its documents', () => {
    expect(packed).toEqual(
      expect.arrayContaining(['LICENSE', 'README.md', 'CHANGELOG.md', 'SECURITY.md']),
    )
  })

  it('holds nothing else', () => {
    const expected = [
      /^(?:package\.json|LICENSE|README\.md|CHANGELOG\.md|SECURITY\.md)$/,
      /^docs\/[a-z0-9/-]+\.md$/,
      new RegExp(`^dist/(?:${entries.join('|')})\\.(?:js|cjs|d\\.ts|d\\.cts)$`),
      /^dist\/chunk-[A-Z0-9]+\.c?js$/,
      /^dist\/[a-z-]+-[\w-]{8}\.d\.c?ts$/,
    ]

    expect(packed.filter((file) => !expected.some((pattern) => pattern.test(file)))).toEqual([])
  })

  it('runs no script when it is installed', () => {
    const scripts = Object.keys(manifest.scripts)

    expect(scripts.filter((name) => /^(?:pre|post)?(?:install|prepare|pack)$/.test(name))).toEqual(
      [],
    )
  })

  it('brings three packages along: openapi-fetch, proxy-addr and raw-body', () => {
    expect(Object.keys(manifest.dependencies).sort()).toEqual([
      'openapi-fetch',
      'proxy-addr',
      'raw-body',
    ])
  })

  it('asks for zod alone: the frameworks are optional', () => {
    const optional: Readonly<Record<string, { readonly optional: boolean }>> =
      manifest.peerDependenciesMeta
    const required = Object.keys(manifest.peerDependencies).filter(
      (name) => optional[name]?.optional !== true,
    )

    expect(required).toEqual(['zod'])
  })

  it('has types that import no framework', () => {
    const imported = packed
      .filter((file) => /\.d\.c?ts$/.test(file))
      .flatMap((file) => ts.preProcessFile(readFileSync(join(root, file), 'utf8')).importedFiles)
      .map(({ fileName }) => fileName)

    expect(imported).not.toEqual([])
    expect(imported.filter((name) => !/^(?:\.|node:|zod$)/.test(name))).toEqual([])
  })

  it('is what publint wants a package to be', async () => {
    await run(join(tools, 'publint'), ['--strict', tarball])
  })

  it('has the right types for old and new resolvers, in ESM and in CommonJS', async () => {
    await run(join(tools, 'attw'), ['--profile', 'strict', tarball])
  })
})

describe('a JavaScript consumer', () => {
  let folder: string

  beforeAll(async () => {
    folder = await install('javascript')
  })

  describe.each(['consumer.mjs', 'consumer.cjs'])('in %s', (file) => {
    it('receives, is tested with the kit, and knows the errors', async () => {
      expect(await report(process.execPath, folder, file)).toEqual(wholeReport(process.version))
    })

    it.each(otherNodes)('does so under Node %s', async (major) => {
      const node = join(folder, 'node_modules', `node-${major}`, 'bin', 'node')

      expect(await report(node, folder, file)).toEqual(
        wholeReport(expect.stringMatching(`^v${major}\\.`)),
      )
    })
  })
})

describe('a TypeScript consumer without types for any framework', () => {
  let folder: string

  beforeAll(async () => {
    folder = await install('typescript')
  })

  it.each([
    ['TypeScript 6 and ES modules', 'typescript', 'tsconfig.node16.json', 'built/node16.mjs'],
    ['TypeScript 5.4 and ES modules', 'typescript-5.4', 'tsconfig.node16.json', 'built/node16.mjs'],
    ['TypeScript 6 and CommonJS', 'typescript', 'tsconfig.node16.json', 'built/node16.cjs'],
    [
      'TypeScript 5, CommonJS and the old resolver',
      'typescript-5',
      'tsconfig.node10.json',
      'built/node10.js',
    ],
  ])('compiles and runs with %s', async (_, compiler, project, file) => {
    const tsc = join(folder, 'node_modules', compiler, 'bin', 'tsc')
    await run(process.execPath, [tsc, '--project', project], folder)

    expect(await report(process.execPath, folder, file)).toEqual({
      answer: { status: 200, body: { outcome: 'handled' } },
      delivered: { status: 200, outcome: 'handled' },
      refusal: { known: true, code: 'RINGHOOK_SECRET_MISSING' },
    })
  })
})

describe('a TypeScript consumer with the newest types of Node', () => {
  it('mounts its webhooks on Express, Koa and Fastify', async () => {
    const folder = await install('frameworks')
    const tsc = join(folder, 'node_modules', 'typescript', 'bin', 'tsc')

    await run(process.execPath, [tsc], folder)
  })
})

describe('a Jest consumer in CommonJS', () => {
  it('tests its webhooks', async () => {
    const folder = await install('jest')
    const jest = join(folder, 'node_modules', 'jest', 'bin', 'jest.js')
    const { stderr } = await run(process.execPath, [jest, '--ci'], folder)

    expect(stderr).toMatch(/^Tests: +4 passed, 4 total$/m)
  })
})

/** What the JavaScript consumers print. Imported or required, an entry is one module. */
function wholeReport(version: unknown) {
  return {
    version,
    answer: { status: 200, body: { outcome: 'handled' } },
    delivered: { status: 200, outcome: 'handled' },
    handled: ['call_of_the_server', 'call_of_the_kit'],
    refusal: { known: true, code: 'RINGHOOK_SECRET_MISSING' },
    listed: ['wh_1'],
    entries: entries.map((entry) => ({ entry, same: true })),
  }
}

/**
 * Copies a consumer out of the repository, so that nothing in it helps, and installs the tarball
 * there. A second try is for the registry and for npm, which has been seen to stand still with
 * everything in its cache.
 */
async function install(consumer: string): Promise<string> {
  const folder = join(room, consumer)
  await cp(fileURLToPath(new URL(`consumers/${consumer}`, import.meta.url)), folder, {
    recursive: true,
  })
  const quiet = ['--prefer-offline', '--no-audit', '--no-fund', '--ignore-scripts']
  const attempt = () => run('npm', ['install', ...quiet, tarball], folder)
  await attempt().catch(attempt)
  return folder
}

/** Runs a consumer. It prints one object, and nothing in it or in ringhook gives cause for a warning. */
async function report(node: string, folder: string, file: string): Promise<unknown> {
  const { stdout, stderr } = await run(node, [file], folder)
  expect(stderr).toBe('')
  return JSON.parse(stdout)
}

interface PackDescription {
  readonly filename: string
  readonly files: readonly { readonly path: string }[]
}

/** npm describes its packages as an array, and from npm 12 on by name. */
function packDescription(output: unknown): PackDescription {
  const [description] = Object.values(output as Readonly<Record<string, PackDescription>>)
  if (description === undefined) throw new Error('npm pack packed nothing')
  return description
}
