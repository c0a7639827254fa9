import { readdirSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { posix } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'
import manifest from '../package.json' with { type: 'json' }

const root = fileURLToPath(new URL('..', import.meta.url))
const packages = new Set([...Object.keys(manifest.dependencies), 'zod'])
/** The leaves of core, whose values every room may import. They depend on no contract. */
const shared = [
  'addresses',
  'async-context',
  'checks',
  'clock',
  'did-you-mean',
  'errors',
  'log',
  'timeout-queue',
].map((name) => `src/core/${name}.ts`)
/** The one value that core takes from another room: the store of a receiver that was given none. */
const presets: Readonly<Record<string, string>> = {
  'src/core/options/settings.ts': 'src/stores/memory.ts',
}
const adapters = ['src/express.ts', 'src/koa.ts', 'src/fastify.ts']
/** The stores. Beside them, in the same folder, is what they share. */
const stores = ['memory', 'redis', 'postgres', 'mysql', 'sqlite'].map(
  (name) => `src/stores/${name}.ts`,
)
/** The inboxes, and beside them what they share. */
const inboxes = ['sqlite', 'bullmq', 'pg-boss'].map((name) => `src/inboxes/${name}.ts`)
/** The entries of the package: the files at the top, and the stores and inboxes that have one of their own. */
const isEntry = (file: string) =>
  !file.slice('src/'.length).includes('/') ||
  (stores.includes(file) && file !== stores[0]) ||
  inboxes.includes(file)

describe('src', () => {
  const files = sourceFiles()
  const imports = new Map(
    files.map((file) => [file, importsOf(file, readFileSync(root + file, 'utf8'))]),
  )

  it('has imports that point one way', () => {
    const offences = [...imports].flatMap(([file, found]) => offencesOf(file, found))

    expect(files.length).toBeGreaterThan(0)
    expect(offences).toEqual([])
  })

  it('has no file that imports itself through others, types included', () => {
    const circles = circlesIn(importGraph(imports))

    expect(circles).toEqual([])
  })

  it('has one file at the top, or one store or inbox, for each export, and one export for each of them', () => {
    const exported = Object.keys(manifest.exports)
      .filter((name) => name !== './package.json')
      .map((name) => (name === '.' ? 'src/index.ts' : `src/${name.slice(2)}.ts`))

    expect(files.filter(isEntry).sort()).toEqual(exported.sort())
  })

  it('has a lock file that belongs to its package.json and names no registry', () => {
    const lock: LockFile = JSON.parse(readFileSync(`${root}package-lock.json`, 'utf8'))
    const { dependencies, devDependencies, peerDependencies } = manifest

    expect(lock.packages['']).toMatchObject({ dependencies, devDependencies, peerDependencies })
    expect(Object.values(lock.packages).filter(({ resolved }) => resolved !== undefined)).toEqual(
      [],
    )
  })
})

describe('import circles', () => {
  const circleOf = (...texts: string[]) =>
    circlesIn(
      importGraph(
        new Map(
          texts.map((text, index) => [`src/${index}.ts`, importsOf(`src/${index}.ts`, text)]),
        ),
      ),
    )

  it.each([
    ['values', `import { a } from './1.ts'`],
    ['types', `import type { A } from './1.ts'`],
    ['single types', `import { type A } from './1.ts'`],
    ['a re-export', `export { a } from './1.ts'`],
    ['a re-export of everything', `export * from './1.ts'`],
    ['a re-export of types', `export type { A } from './1.ts'`],
    ['a type where it is used', `type A = import('./1.ts').A`],
    ['a dynamic import', `const a = await import('./1.ts')`],
  ])('refuses one of %s', (_name, line) => {
    expect(circleOf(line, `export { b } from './2.ts'`, `import type { C } from './0.ts'`)).toEqual(
      ['src/0.ts → src/1.ts → src/2.ts → src/0.ts'],
    )
  })

  it('allows two ways to one file', () => {
    const both = `import './1.ts'; import './2.ts'`
    expect(circleOf(both, `import './2.ts'`, 'export const c = 1')).toEqual([])
  })
})

describe('the import table', () => {
  it.each([
    ['src/core/receiver.ts', `import { redisStore } from '../stores/redis.ts'`],
    ['src/core/receiver.ts', `import { memoryStore } from '../stores/memory.ts'`],
    ['src/core/receiver.ts', `import type { Rows } from '../stores/postgres.ts'`],
    ['src/core/receiver.ts', `import { defineProvider } from '../providers/define-provider.ts'`],
    ['src/core/receiver.ts', `export { webhooks } from '../express.ts'`],
    ['src/core/receiver.ts', `import type { webhooks } from '../express.ts'`],
    ['src/core/receiver.ts', `import { storeContract } from '../conformance/store-contract.ts'`],
    ['src/testing.ts', `export { storeContract } from './conformance/store-contract.ts'`],
    ['src/index.ts', `export { fixture } from './testing/fixture.ts'`],
    ['src/providers/krosai/krosai.ts', `import { odis } from '../odis/odis.ts'`],
    ['src/providers/krosai/krosai.ts', `import { createReceiver } from '../../core/receiver.ts'`],
    ['src/providers/provider.ts', `import { krosai } from './krosai/krosai.ts'`],
    ['src/stores/redis.ts', `import { memoryStore } from './memory.ts'`],
    ['src/stores/batches.ts', `import { postgresStore } from './postgres.ts'`],
    ['src/stores/redis.ts', `import { statements } from './sqlite/table.ts'`],
    ['src/stores/redis/scripts.ts', `import { statements } from '../sqlite/table.ts'`],
    ['src/stores/batches.ts', `import { statements } from './sqlite/table.ts'`],
    ['src/stores/redis.ts', `import { Redis } from 'ioredis'`],
    ['src/inboxes/bullmq.ts', `import { memoryStore } from '../stores/memory.ts'`],
    ['src/inboxes/bullmq.ts', `import { sqliteInbox } from './sqlite.ts'`],
    ['src/inboxes/bullmq.ts', `import type { Queue } from 'bullmq'`],
    [
      'src/inboxes/bullmq.ts',
      `import { SqliteConnection } from '../databases/sqlite/connection.ts'`,
    ],
    ['src/databases/failures.ts', `import { redisStore } from '../stores/redis.ts'`],
    ['src/core/worker.ts', `import { sqliteInbox } from '../inboxes/sqlite.ts'`],
    ['src/core/receiver.ts', `import { Transport } from '../api/transport.ts'`],
    ['src/api/krosai/webhooks.ts', `import { odis } from '../../providers/odis/odis.ts'`],
    ['src/api/krosai/webhooks.ts', `import { createOdisApi } from '../odis/odis-api.ts'`],
    ['src/api/transport.ts', `import { createOdisApi } from './odis/odis-api.ts'`],
    ['src/api/krosai/reconcile.ts', `import { memoryStore } from '../../stores/memory.ts'`],
    ['src/api/transport.ts', `import axios from 'axios'`],
    ['src/express.ts', `import { webhooks } from './koa.ts'`],
    ['src/express.ts', `import express from 'express'`],
    ['src/express.ts', `import type { Request } from 'express'`],
    ['src/express.ts', `type App = import('express').Express`],
    ['src/express.ts', `const framework = await import('express')`],
    ['src/express.ts', `import { fixture } from './testing/fixture.ts'`],
    ['src/index.ts', `export * from './express.ts'`],
    ['src/testing/kit.ts', `import { test } from 'vitest'`],
    ['src/testing/kit.ts', `import { inboxContract } from '../conformance/inbox-contract.ts'`],
    ['src/conformance/kit.ts', `import { test } from 'vitest'`],
    ['src/testing/kit.ts', `import helper from '../../test/helpers/server.ts'`],
  ])('refuses, in %s: %s', (file, line) => {
    expect(offencesOf(file, importsOf(file, line))).toHaveLength(1)
  })

  it.each([
    ['src/core/receiver.ts', `import type { Provider } from '../providers/provider.ts'`],
    ['src/core/receiver.ts', `import { RinghookError } from './errors.ts'`],
    ['src/core/options/settings.ts', `import { memoryStore } from '../../stores/memory.ts'`],
    ['src/stores/redis.ts', `import { safeLogger } from '../core/log.ts'`],
    ['src/providers/krosai/krosai.ts', `import { RinghookError } from '../../core/errors.ts'`],
    ['src/providers/krosai/krosai.ts', `import { defineProvider } from '../define-provider.ts'`],
    ['src/providers/krosai/krosai.ts', `import { schemas } from './schemas.ts'`],
    ['src/stores/redis.ts', `import type { Clock } from '../core/clock.ts'`],
    ['src/stores/redis.ts', `import type { IdempotencyStore } from './store.ts'`],
    ['src/stores/postgres.ts', `import { Batches } from './batches.ts'`],
    ['src/stores/redis.ts', `import { claimScript } from './redis/scripts.ts'`],
    ['src/stores/redis/scripts.ts', `import { keepMs } from './expiry.ts'`],
    ['src/stores/redis/scripts.ts', `import { storeFailure } from '../../databases/failures.ts'`],
    ['src/stores/sqlite.ts', `import { failureOf } from '../databases/sqlite/database.ts'`],
    [
      'src/inboxes/sqlite/table.ts',
      `import { failureOf } from '../../databases/sqlite/database.ts'`,
    ],
    ['src/inboxes/bullmq.ts', `import type { Inbox } from './inbox.ts'`],
    ['src/inboxes/bullmq.ts', `import { WorkerLoop } from './loop.ts'`],
    ['src/core/worker.ts', `import type { Inbox } from '../inboxes/inbox.ts'`],
    ['src/stores/redis.ts', `import { createHash } from 'node:crypto'`],
    ['src/express.ts', `import { createReceiver } from './core/receiver.ts'`],
    ['src/index.ts', `export { memoryStore } from './stores/memory.ts'`],
    ['src/api/krosai/krosai-api.ts', `import { Transport } from '../transport.ts'`],
    ['src/api/krosai/krosai-api.ts', `import { wholeNumber } from '../../core/checks.ts'`],
    ['src/stores/redis.ts', `import { checkOptions } from '../core/checks.ts'`],
    ['src/api/krosai/names.ts', `import { krosai } from '../../providers/krosai/krosai.ts'`],
    ['src/api/odis/odis-api.ts', `import type { JsonObject } from '../../providers/provider.ts'`],
    ['src/api/krosai/krosai-api.ts', `import createClient from 'openapi-fetch'`],
    ['src/testing/kit.ts', `import { memoryStore } from '../stores/memory.ts'`],
    ['src/conformance/store.ts', `import { manualClock } from '../testing/manual-clock.ts'`],
  ])('allows, in %s: %s', (file, line) => {
    expect(offencesOf(file, importsOf(file, line))).toEqual([])
  })
})

interface LockFile {
  readonly packages: Readonly<Record<string, { readonly resolved?: string }>>
}

/** What each file imports from `src`. */
type Graph = ReadonlyMap<string, readonly string[]>

interface Import {
  readonly specifier: string
  readonly typeOnly: boolean
}

/** The imports that the table of rooms does not allow, as sentences. */
function offencesOf(file: string, imports: readonly Import[]): string[] {
  return imports
    .filter((found) => !isAllowed(file, found))
    .map(({ specifier, typeOnly }) => `${file}: ${typeOnly ? 'type ' : ''}${specifier}`)
}

function isAllowed(file: string, { specifier, typeOnly }: Import): boolean {
  return specifier.startsWith('.')
    ? isAllowedFile(file, posix.join(posix.dirname(file), specifier), typeOnly)
    : isBuiltin(specifier) || packages.has(packageOf(specifier))
}

function isAllowedFile(file: string, target: string, typeOnly: boolean): boolean {
  const from = roomOf(file)
  const to = roomOf(target)
  if (to === 'outside') return false
  if (from === 'conformance' || from === 'cli') return true
  if (from === 'testing') return to !== 'conformance'
  if (adapters.includes(target)) return false
  if (shared.includes(target) || presets[file] === target) return true

  return rules[from]?.(file, target, typeOnly) ?? false
}

type Rule = (file: string, target: string, typeOnly: boolean) => boolean

/** What the files of each room may import, beside what all may. */
const rules: Readonly<Record<string, Rule>> = {
  entry: (file, target) =>
    roomOf(target) !== 'entry' &&
    (!kits.includes(roomOf(target)) || file === `src/${roomOf(target)}.ts`),
  adapter: (_file, target) => ['core', 'providers', 'adapters'].includes(roomOf(target)),
  adapters: (_file, target) => ['core', 'adapters'].includes(roomOf(target)),
  core: (_file, target, typeOnly) => roomOf(target) === 'core' || (typeOnly && isContract(target)),
  providers: (file, target, typeOnly) =>
    (roomOf(target) === 'core' && typeOnly) || isOwnProvider(file, target),
  stores: (file, target, typeOnly) =>
    (roomOf(target) === 'core' && typeOnly) ||
    isOpenTo(file, target) ||
    isOpenDatabase(file, target),
  inboxes: (file, target, typeOnly) =>
    (roomOf(target) === 'core' && typeOnly) ||
    isOpenTo(file, target) ||
    isOpenDatabase(file, target),
  databases: (_file, target) => roomOf(target) === 'databases',
  // A client of a provider's API checks its options as a receiver does, and knows the provider's names.
  api: (file, target, typeOnly) =>
    roomOf(target) === 'core' ||
    isOpenTo(file, target) ||
    (roomOf(target) === 'providers' && (typeOnly || nameIn(file) === nameIn(target))),
}

/** What tests load: neither is loaded by the rest, nor the contracts by the kit. */
const kits = ['testing', 'conformance']

/** The folder of `src` that a file is in. Files beside the folders are entries, and some of them adapters. */
function roomOf(file: string): string {
  const [top, room, ...rest] = file.split('/')
  if (top !== 'src' || room === undefined) return 'outside'
  if (rest.length > 0) return room
  return adapters.includes(file) ? 'adapter' : 'entry'
}

function isContract(target: string): boolean {
  return ['providers', 'stores', 'inboxes'].some((room) => isContractOf(room, target))
}

/** `src/stores/store.ts` is the contract of the room `stores`. */
function isContractOf(room: string, target: string): boolean {
  const contracts: Readonly<Record<string, string>> = {
    providers: 'src/providers/provider.ts',
    stores: 'src/stores/store.ts',
    inboxes: 'src/inboxes/inbox.ts',
  }
  return contracts[room] === target
}

/**
 * What all stores share, or all inboxes, and what is private to the file's own: the folder of its
 * name.
 */
function isOpenTo(file: string, target: string): boolean {
  if (stores.includes(target) || inboxes.includes(target)) return false
  const isPrivate = target.split('/').length > 3
  return roomOf(target) === roomOf(file) && (!isPrivate || nameIn(file) === nameIn(target))
}

/** What everything in a database shares, and what is for one kind of database: the folder of its name. */
function isOpenDatabase(file: string, target: string): boolean {
  const isPrivate = target.split('/').length > 3
  return roomOf(target) === 'databases' && (!isPrivate || nameIn(file) === nameIn(target))
}

/** `redis`, for `src/stores/redis.ts` and for what is in the folder `src/stores/redis`. */
function nameIn(file: string): string | undefined {
  return file.replace('.ts', '').split('/')[2]
}

/** In its own folder, or beside the folders, where the contract and what all providers share are. */
function isOwnProvider(file: string, target: string): boolean {
  return [posix.dirname(file), 'src/providers'].includes(posix.dirname(target))
}

function packageOf(specifier: string): string {
  const [scope, name] = specifier.split('/')
  return scope?.startsWith('@') ? `${scope}/${name}` : (scope ?? specifier)
}

/** Every way to name a module: import, export from, import(), require() and import('…') in a type. */
function importsOf(file: string, text: string): Import[] {
  const found: Import[] = []
  const add = (specifier: ts.Node | undefined, typeOnly: boolean): void => {
    if (specifier && ts.isStringLiteralLike(specifier)) {
      found.push({ specifier: specifier.text, typeOnly })
    }
  }
  const visit = (node: ts.Node): void => {
    if (ts.isImportDeclaration(node)) {
      add(node.moduleSpecifier, node.importClause?.phaseModifier === ts.SyntaxKind.TypeKeyword)
    } else if (ts.isExportDeclaration(node)) {
      add(node.moduleSpecifier, node.isTypeOnly)
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument)) {
      add(node.argument.literal, true)
    } else if (ts.isExternalModuleReference(node)) {
      add(node.expression, false)
    } else if (ts.isCallExpression(node) && isModuleCall(node.expression)) {
      add(node.arguments[0], false)
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.Latest, true))
  return found
}

function importGraph(imports: ReadonlyMap<string, readonly Import[]>): Graph {
  return new Map(
    [...imports].map(([file, found]) => [
      file,
      found
        .filter(({ specifier }) => specifier.startsWith('.'))
        .map(({ specifier }) => posix.join(posix.dirname(file), specifier)),
    ]),
  )
}

/** The circles that a walk through all imports closes, as sentences. There is one if there are any. */
function circlesIn(graph: Graph): string[] {
  const circles: string[] = []
  const done = new Set<string>()
  const path: string[] = []
  const visit = (file: string): void => {
    const start = path.indexOf(file)
    if (start >= 0) circles.push([...path.slice(start), file].join(' → '))
    if (start >= 0 || done.has(file)) return
    path.push(file)
    for (const target of graph.get(file) ?? []) visit(target)
    path.pop()
    done.add(file)
  }
  for (const file of graph.keys()) visit(file)
  return circles
}

function isModuleCall(callee: ts.Expression): boolean {
  return (
    callee.kind === ts.SyntaxKind.ImportKeyword ||
    (ts.isIdentifier(callee) && callee.text === 'require')
  )
}

function sourceFiles(): string[] {
  return readdirSync(`${root}src`, { recursive: true, encoding: 'utf8' })
    .map((file) => `src/${file.replaceAll('\\', '/')}`)
    .filter((file) => file.endsWith('.ts'))
}
