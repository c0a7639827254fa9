import { fileURLToPath } from 'node:url'
import ts from 'typescript'
import { describe, expect, it } from 'vitest'

const folder = fileURLToPath(new URL('.', import.meta.url))
const root = fileURLToPath(new URL('../..', import.meta.url))

const opening = `
import { createReceiver, defineProvider, type EventOf, type Inbox, krosai, odis } from 'ringhook'
import { callkaroWebhooks, krosaiWebhooks } from 'ringhook/express'
import { z } from 'zod'
declare const inbox: Inbox
const secret = process.env['KROSAI_WEBHOOK_SECRET']
declare function traced<E, C>(fn: (event: E, context: C) => unknown): (event: E, context: C) => unknown
const acme = defineProvider({
  name: 'acme',
  signature: { header: 'x-acme', encoding: 'base64' },
  signedTimestamp: false,
  events: { 'call.ended': { schema: z.object({ call_id: z.string() }) } },
  delivery: { retryDelaysMs: [0] },
})
export { acme, createReceiver, inbox, krosai, odis, callkaroWebhooks, krosaiWebhooks, traced, secret, z, type EventOf }
`

const imports = `import { acme, createReceiver, inbox, krosai, odis, callkaroWebhooks, krosaiWebhooks, traced, secret, z, type EventOf } from './opening.ts'
export const used = [acme, createReceiver, inbox, krosai, odis, callkaroWebhooks, krosaiWebhooks, traced, secret, z]
export type Used = EventOf<typeof krosai, '*'>`

/** What is written, what the one error has to say, and how long it may be. */
const mistakes: readonly [what: string, code: string, says: readonly string[], most?: number][] = [
  [
    'a misspelt name',
    `createReceiver(krosai, { secret, on: { 'call.complete': () => {} } })`,
    [`'call.complete'`, 'RoutingTable<KrosaiEvents, "krosai">'],
  ],
  [
    'a misspelt name, given to a mount function',
    `krosaiWebhooks({ secret, on: { 'call.complete': () => {}, 'call.failed': (e) => e.data } })`,
    [`'call.complete'`, 'RoutingTable<KrosaiEvents, "krosai">'],
  ],
  [
    'a misspelt name that is no text in quotes',
    'callkaroWebhooks({ allowUnsigned: true, on: { call_end: () => {} } })',
    [
      `'call_end'`,
      'RoutingTable<CallkaroEvents, "callkaro">',
      `Did you mean to write 'call_ended'`,
    ],
  ],
  [
    'a misspelt name around a wrapped handler',
    `krosaiWebhooks({ secret, on: { 'call.complete': traced(() => {}) } })`,
    [`'call.complete'`, 'RoutingTable<KrosaiEvents, "krosai">'],
  ],
  [
    'a misspelt name beside schemas of the user’s own',
    `krosaiWebhooks({ secret, events: { 'call.noted': z.object({ to: z.string() }) }, on: { 'call.note': () => {} } })`,
    [`'call.note'`, 'KrosaiEvents', `'call.noted'`],
    300,
  ],
  [
    'a misspelt name of a provider of the user’s own',
    `createReceiver(acme, { secret, on: { 'call.end': () => {} } })`,
    [`'call.end'`, `'call.ended'`],
    300,
  ],
  [
    'a wildcard that matches nothing',
    `createReceiver(odis, { secret, on: { 'calls.*': () => {} } })`,
    [`'calls.*'`, 'RoutingTable<OdisEvents, "odis">'],
  ],
  [
    'a misspelt name in EventOf',
    `export type Mine = EventOf<typeof krosai, 'call.complete'>`,
    ['"call.complete"', 'KrosaiEvents'],
  ],
  [
    'a handler for another event',
    `createReceiver(krosai, { secret, on: { 'balance.low': (event: EventOf<typeof krosai, 'call.ringing'>) => event.id } })`,
    [
      'Handler<KrosaiBalanceLow>',
      `'KrosaiBalanceLow' is not assignable to type 'KrosaiCallRinging'`,
    ],
    350,
  ],
  [
    'a handler that is no function',
    `krosaiWebhooks({ secret, on: { 'call.completed': 'log' } })`,
    [`'string'`, 'Handler<KrosaiCallCompleted>'],
  ],
  [
    'a field of a field that is a number',
    `krosaiWebhooks({ secret, on: { 'call.completed': (event) => event.data.duration.foo } })`,
    [`'foo'`, `'number'`],
  ],
  [
    'a field that no page documents, in a wrapped handler',
    `createReceiver(krosai, { secret, on: { 'call.ringing': traced((event) => event.data.call) } })`,
    [`'call'`, 'call_id: string'],
  ],
  [
    'a misspelt option',
    'createReceiver(krosai, { secrt: secret, on: {} })',
    [`'secrt'`, 'KrosaiProvider', `Did you mean to write 'secret'`],
  ],
  [
    'no secret',
    `krosaiWebhooks({ on: { 'call.completed': () => {} } })`,
    ['KrosaiProvider', `Property 'secret' is missing`],
    450,
  ],
  [
    'an option that needs an inbox',
    'krosaiWebhooks({ secret, retry: { maxAttempts: 5 } })',
    ['KrosaiProvider', 'missing the following properties', 'store, inbox'],
    600,
  ],
  [
    'an inbox without a store',
    'createReceiver(krosai, { secret, inbox })',
    ['KrosaiProvider', `Property 'store' is missing`],
    520,
  ],
]

describe('the compiler', () => {
  const files = new Map(
    mistakes.map(([, code], index) => [`${folder}mistake-${index}.ts`, `${imports}\n${code}\n`]),
  )
  const hovered = `${folder}hovered.ts`
  files.set(
    hovered,
    `${imports}
createReceiver(krosai, { secret, on: { 'call.completed': (event) => event.id } })
krosaiWebhooks({ secret, on: { 'phone_number.*': traced((event) => event) } })
`,
  )
  files.set(`${folder}opening.ts`, opening)
  const program = programOf(files)

  it.each(mistakes)('has one short error for %s', (what, _, says, most = 200) => {
    const index = mistakes.findIndex(([other]) => other === what)
    const messages = errorsOf(program, `${folder}mistake-${index}.ts`)
    expect(messages).toHaveLength(1)
    for (const part of says) expect(messages[0]).toContain(part)
    expect(messages[0]?.length).toBeLessThanOrEqual(most)
  })

  it('calls events by the names of their interfaces', () => {
    expect(errorsOf(program, hovered)).toEqual([])
    expect(typesOfParameters(program, hovered)).toEqual([
      'KrosaiCallCompleted',
      'KrosaiPhoneNumberPurchased | KrosaiPhoneNumberReleased | KrosaiPhoneNumberUpdated',
    ])
  })
})

/** Compiles files that are only in memory, with the options of this repository. */
function programOf(files: ReadonlyMap<string, string>): ts.Program {
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, root)
  const host = ts.createCompilerHost(options)
  const { getSourceFile, fileExists, readFile } = host
  host.fileExists = (file) => files.has(file) || fileExists(file)
  host.readFile = (file) => files.get(file) ?? readFile(file)
  host.getSourceFile = (file, language, ...rest) => {
    const text = files.get(file)
    if (text !== undefined) return ts.createSourceFile(file, text, language, true)
    return getSourceFile.call(host, file, language, ...rest)
  }
  return ts.createProgram([...files.keys()], options, host)
}

function errorsOf(program: ts.Program, file: string): readonly string[] {
  return program
    .getSemanticDiagnostics(program.getSourceFile(file))
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
}

/** The types of all parameters in a file, as an editor shows them. */
function typesOfParameters(program: ts.Program, file: string): readonly string[] {
  const checker = program.getTypeChecker()
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isParameter(node)) found.push(checker.typeToString(checker.getTypeAtLocation(node)))
    ts.forEachChild(node, visit)
  }
  const source = program.getSourceFile(file)
  if (source !== undefined) visit(source)
  return found
}
