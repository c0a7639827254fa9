import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = new URL('../../', import.meta.url)
const prism = fileURLToPath(new URL('node_modules/.bin/prism', root))

/** A Prism that answers at `url`, or hands on what comes there, by KrosAI's documents. */
export interface Prism {
  readonly url: string
  stop(): Promise<void>
}

/**
 * Answers by the documents. A request that violates them is refused, and the answer says in
 * `sl-violations` what was wrong with it.
 */
export function startMock(): Promise<Prism> {
  // Data that is made up is the same in every run.
  return start('mock', ['--seed', 'ringhook'])
}

/** Hands requests on to `upstream`, and refuses what violates the documents, in both directions. */
export function startProxy(upstream: string): Promise<Prism> {
  return start('proxy', [upstream])
}

async function start(command: 'mock' | 'proxy', args: readonly string[]): Promise<Prism> {
  const folder = await mkdtemp(join(tmpdir(), 'ringhook-prism-'))
  const document = join(folder, 'krosai.json')
  await writeFile(document, JSON.stringify(await wholeDocument()))
  const child = spawn(
    process.execPath,
    [prism, command, document, ...args, '--port', '0', '--errors'],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, NO_COLOR: '1' } },
  )
  const closed = once(child, 'close')
  let output = ''
  const url = await new Promise<string>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        output += text
        const listening = /Prism is listening on (http:\/\/[\d.:]+)/.exec(output)
        if (listening?.[1] !== undefined) resolve(listening[1])
      })
    }
    void closed.then(() => reject(new Error(`Prism ended: ${output}`)))
  })
  return {
    url,
    async stop() {
      child.kill('SIGKILL')
      await closed
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Both documents as one: a client has one base URL. */
async function wholeDocument(): Promise<unknown> {
  const [webhooks, deliveries] = await Promise.all(
    ['krosai-openapi.json', 'krosai-deliveries-openapi.json'].map(async (name) =>
      JSON.parse(await readFile(new URL(`test/vectors/${name}`, root), 'utf8')),
    ),
  )
  return {
    ...webhooks,
    paths: { ...webhooks.paths, ...deliveries.paths },
    components: {
      ...webhooks.components,
      parameters: { ...webhooks.components.parameters, ...deliveries.components.parameters },
      schemas: { ...webhooks.components.schemas, ...deliveries.components.schemas },
    },
  }
}
