import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { pathToFileURL } from 'node:url'
import { format } from 'node:util'
import { krosai } from 'ringhook'
import { signedRequest } from 'ringhook/testing'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { endingOf } from '../helpers/endings.ts'
import {
  type Block,
  blockNamed,
  blocksOf,
  examplesOf,
  isTypeScript,
  pages,
  root,
  sources,
  unpack,
} from './pages.ts'

const blocks = pages.flatMap(blocksOf).filter(isTypeScript)
const examples = sources.flatMap(examplesOf)
const { pathOf, remove } = unpack('blocks', [...blocks, ...examples])
const secret = 'a secret for the examples'
const apiKey = 'kros_test_example'

afterAll(remove)

/** What blocks read from the environment. Each name stands in a block. */
const environment = [...blocks, ...examples].flatMap(({ text }) =>
  [...text.matchAll(/process\.env\.(\w+)/g)].map((match) => match[1] ?? ''),
)
beforeAll(() => {
  for (const name of environment) {
    if (name !== 'PORT') vi.stubEnv(name, name.endsWith('_API_KEY') ? apiKey : secret)
  }
  return () => vi.unstubAllEnvs()
})

describe('every block of TypeScript', () => {
  it('is found on the pages and in the docstrings', () => {
    expect(blocks.length).toBeGreaterThan(20)
    expect(examples.length).toBeGreaterThan(10)
    for (const { page, info, line } of blocks) {
      expect(['ts', 'ts run'], `${page}:${line}`).toContain(info)
    }
  })

  it('compiles', { timeout: 120_000 }, () => {
    expect(complaintsAbout([...blocks, ...examples])).toEqual([])
  })
})

describe('every block that says so, and every example, runs', () => {
  for (const block of [...blocks.filter(({ info }) => info === 'ts run'), ...examples]) {
    const title = `${block.page}:${block.line}`
    // Its tests become tests of this file.
    if (block.text.includes("from 'vitest'")) describe(title, () => collect(block))
    else it(title, () => expectRun(block))
  }
})

describe('the first program of the README', () => {
  const program = blockNamed('README.md', 'server.ts')

  it('handles a delivery', async () => {
    const server = await start(program, { KROSAI_WEBHOOK_SECRET: secret })
    try {
      const send = (request: ReturnType<typeof signedRequest>) => fetch(server.url, request)
      const released = signedRequest(krosai, 'phone_number.released', { secret })
      const answers = [
        await send(signedRequest(krosai, 'call.completed', { secret })),
        await send(released),
        await send(released),
        await send(signedRequest(krosai, 'call.completed', { secret, forge: true })),
      ]
      const bodies = await Promise.all(answers.map((answer) => answer.text()))
      expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 401])
      expect(bodies).toEqual([
        '{"outcome":"handled"}',
        '{"outcome":"handled"}',
        '{"outcome":"duplicate"}',
        '{"outcome":"rejected","code":"RINGHOOK_NOT_AUTHENTIC"}',
      ])
      expect(server.output().split('phone_number.released pn_abc123')).toHaveLength(2)
    } finally {
      await server.stop()
    }
  }, 60_000)

  it('is delivered to by the program that sends one', async () => {
    const server = await start(program, { KROSAI_WEBHOOK_SECRET: secret })
    try {
      expect(server.output()).toContain(`Listening on http://localhost:${server.port}/hooks\n`)
      const sender = blockNamed('README.md', 'send.ts')
      const variables = { KROSAI_WEBHOOK_SECRET: secret, PORT: String(server.port) }
      const child = run(sender, variables)
      const output = outputOf(child)
      await once(child, 'close')

      expect(output()).toBe(`${promisedOutput(sender.text).join('\n')}\n`)
    } finally {
      await server.stop()
    }
  }, 60_000)

  it('says so when its port is taken', async () => {
    const other = createServer().listen(0)
    await once(other, 'listening')
    const child = run(program, { KROSAI_WEBHOOK_SECRET: secret, PORT: String(portOf(other)) })
    const output = outputOf(child)
    const [code] = await once(child, 'close')
    other.close()

    expect(code).not.toBe(0)
    expect(output()).toContain('EADDRINUSE')
    expect(output()).not.toContain('Listening')
  }, 60_000)

  it('is refused without its secret, in the words of the README', async () => {
    const child = run(program, {})
    const output = outputOf(child)
    const [code] = await once(child, 'exit')
    const printed = blocksOf('README.md')
      .find(({ info }) => info === 'text')
      ?.text.trim()

    expect(code).not.toBe(0)
    expect(printed).toMatch(/^RinghookError: There is no secret/)
    expect(output()).toContain(`${printed}\n`)
  }, 60_000)
})

/** What the compiler says about blocks, as `README.md:12: …`, with the options of this repository. */
function complaintsAbout(all: readonly Block[]): string[] {
  const { config } = ts.readConfigFile(`${root}tsconfig.json`, ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent(config, ts.sys, root)
  const program = ts.createProgram(all.map(pathOf), {
    ...options,
    // `process.env.NAME` is how everybody writes it.
    noPropertyAccessFromIndexSignature: false,
  })
  return all.flatMap((block) => {
    const file = program.getSourceFile(pathOf(block))
    const found = [
      ...program.getSyntacticDiagnostics(file),
      ...program.getSemanticDiagnostics(file),
    ]
    return found.map(({ start: position = 0, messageText }) => {
      const line = block.line + 1 + (file?.getLineAndCharacterOfPosition(position).line ?? 0)
      return `${block.page}:${line}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
    })
  })
}

/** Adds the tests of a block to those of this file. One that cannot be loaded fails alone. */
async function collect(block: Block): Promise<void> {
  await load(block).catch((error: unknown) => {
    it('can be loaded', () => {
      throw error
    })
  })
}

async function load(block: Block): Promise<void> {
  await import(pathToFileURL(pathOf(block)).href)
}

/** Runs a block in this process, and compares what it prints with what its comments say. */
async function expectRun(block: Block): Promise<void> {
  const printed: string[] = []
  const log = vi.spyOn(console, 'log').mockImplementation((...values) => {
    printed.push(format(...values))
  })
  // What ringhook warns of when no logger is given is not what a block is about.
  const warnings = [vi.spyOn(console, 'warn'), vi.spyOn(console, 'error')]
  for (const spy of warnings) spy.mockReturnValue()
  try {
    await load(block)
  } finally {
    for (const spy of [log, ...warnings]) spy.mockRestore()
  }
  // The comments of docstrings explain, and may say more than what is printed.
  if (block.info === 'ts run') expect(printed).toEqual(promisedOutput(block.text))
}

/** The comment lines at the end of a block, or the comments behind its calls of `console.log`. */
function promisedOutput(text: string): readonly string[] {
  const atTheEnd = /(?:^\/\/ .*\n)+$/m.exec(text)?.[0] ?? ''
  if (text.endsWith(atTheEnd) && atTheEnd !== '') {
    return atTheEnd
      .trim()
      .split('\n')
      .map((line) => line.slice('// '.length))
  }
  return [...text.matchAll(/console\.log\(.*\) \/\/ (.+)$/gm)].map((match) => match[1] ?? '')
}

/** Starts a program that listens, with the variables that it is given and no secret beside them. */
async function start(program: Block, variables: Readonly<Record<string, string>>) {
  const port = await freePort()
  const child = run(program, { ...variables, PORT: String(port) })
  const output = outputOf(child)
  const ended = once(child, 'exit')
  const url = `http://127.0.0.1:${port}/hooks`
  const isUp = () =>
    fetch(url).then(
      () => true,
      () => false,
    )
  while (!(await isUp())) {
    const ending = endingOf(child)
    if (ending !== undefined) throw new Error(`the program ended with ${ending}: ${output()}`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  async function stop(): Promise<void> {
    child.kill()
    await ended
  }
  return { url, port, output, stop }
}

function run(program: Block, variables: Readonly<Record<string, string>>): ChildProcess {
  const { PATH = '' } = process.env
  return spawn(process.execPath, ['--import', 'tsx', pathOf(program)], {
    cwd: root,
    env: { PATH, ...variables },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
}

function outputOf(child: ChildProcess): () => string {
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  return () => output
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const port = portOf(server)
  server.close()
  await once(server, 'close')
  return port
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
