import { AsyncLocalStorage } from 'node:async_hooks'
import { request as httpRequest } from 'node:http'
import Database from 'better-sqlite3'
import express from 'express'
import { createReceiver, krosai, type Outcome, type ReceiverOptions } from 'ringhook'
import { webhooks } from 'ringhook/express'
import { sqliteStore } from 'ringhook/stores/sqlite'
import { signedRequest } from 'ringhook/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { ChildProcess } from '../../src/conformance/child-process.ts'
import { Batches } from '../../src/stores/batches.ts'
import { secret } from '../helpers/deliveries.ts'
import { type AnyOptions, gate } from '../helpers/endpoint.ts'
import { serveExpress } from '../helpers/frameworks.ts'

/** A server whose requests each have a context of their own: the header `x-request`. */
async function open(options: AnyOptions) {
  const contexts = new AsyncLocalStorage<string>()
  const told: { readonly context: string | undefined; readonly what: string }[] = []
  const tell = (what: string) => {
    told.push({ context: contexts.getStore(), what })
    // What a careless program does must not show in the next one's context either.
    contexts.enterWith('left behind')
  }
  const log = (line: string) => tell(line)
  const receiver = createReceiver(krosai, {
    secret,
    logger: { debug() {}, info() {}, warn: log, error: log },
    onOutcome: ({ outcome, code, eventId = '' }: Outcome) =>
      tell(`outcome ${outcome} ${code} ${eventId}`),
    ...options,
  } as ReceiverOptions<typeof krosai>)
  const app = express()
  app.use((request, _response, next) => contexts.run(String(request.headers['x-request']), next))
  app.post('/hooks', webhooks(receiver))
  const { url, close } = await serveExpress(app)
  onTestFinished(async () => {
    await receiver.close({ drainMs: 0 })
    await close()
  })
  const send = async (id: string, context = `request of ${id}`) => {
    const sent = { id, event: 'call.ringing', timestamp: '', data: { call_id: id } }
    const headers = { 'x-request': context }
    const { method, body, headers: signed } = signedRequest(krosai, sent, { secret, headers })
    return (await fetch(url, { method, body, headers: signed })).status
  }
  /** Sends a part of a body, and resolves with the answer's status. */
  const sendPart = (context: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      const headers = { 'x-request': context, 'content-length': 100 }
      const part = httpRequest(url, { method: 'POST', headers, agent: false }, (response) => {
        resolve(response.statusCode)
        part.destroy()
      })
      part.once('error', reject)
      part.write('{')
    })
  return { contexts, told, receiver, send, sendPart }
}

describe('AsyncLocalStorage, in a handler', () => {
  it('is that of what is told of its delivery after the deadline', async () => {
    const { open: finish, opened } = gate()
    const { told, receiver, send } = await open({
      ackDeadlineMs: 100,
      on: {
        '*': async () => {
          await opened
          throw new Error('late')
        },
      },
    })
    const ids = ['evt_1', 'evt_2', 'evt_3']
    // The first one sets the timer that answers all of them.
    expect(await Promise.all(ids.map((id) => send(id)))).toEqual([503, 503, 503])
    const timedOut = told.filter(({ what }) => what.includes('RINGHOOK_DEADLINE_EXCEEDED'))
    expect(timedOut.length).toBeGreaterThan(3)
    finish()
    await receiver.idle()

    const late = told.filter(({ what }) => what.includes('RINGHOOK_HANDLER_FAILED'))
    expect(late.length).toBeGreaterThan(0)
    for (const { context, what } of told) {
      // A line of the log follows the outcome, whose listener left its own context behind.
      const id = /evt_\d/.exec(what)?.[0]
      expect([`request of ${id}`, 'left behind']).toContain(context)
    }
    for (const { context, what } of told.filter((each) => each.what.startsWith('outcome'))) {
      expect(context).toBe(`request of ${/evt_\d/.exec(what)?.[0]}`)
    }
  })

  it('is that of what is told of a body that does not arrive, or that is cut off by close()', async () => {
    for (const cut of [false, true]) {
      const { contexts, told, receiver, send, sendPart } = await open({
        bodyTimeoutMs: cut ? 5_000 : 50,
        logger: false,
        on: { '*': () => {} },
      })
      const answers = Promise.all(['a', 'b', 'c'].map((each) => sendPart(each)))
      if (cut) {
        // By its answer the others have arrived too.
        await send('evt_1')
        await contexts.run('closer', () => receiver.close())
      }
      await answers
      const outcomes = told.filter(({ what }) => !what.includes('evt_1'))
      expect(outcomes.map(({ context }) => context).sort()).toEqual(['a', 'b', 'c'])
    }
  })

  it('is that of the renewal of no lease, of which a stranger would be told', async () => {
    const { open: finish, opened } = gate()
    const { open: renewed, opened: whenRenewed } = gate()
    const contexts: (string | undefined)[] = []
    const database = new Database(':memory:')
    const store = sqliteStore(database)
    await store.migrate()
    const opening = open({
      leaseMs: 100,
      store: {
        ...store,
        claim: store.claim.bind(store),
        complete: store.complete.bind(store),
        release: store.release.bind(store),
        forget: store.forget.bind(store),
        status: store.status.bind(store),
        extend: async () => {
          contexts.push((await opening).contexts.getStore())
          if (contexts.length === 4) renewed()
          throw new Error('away')
        },
      },
      on: { '*': () => opened },
    })
    const { told, send } = await opening
    const sent = ['evt_1', 'evt_2'].map((id) => send(id))
    await whenRenewed
    finish()
    await Promise.all(sent)
    expect(new Set(contexts)).toEqual(new Set([undefined]))
    for (const { context, what } of told) {
      if (!what.startsWith('outcome')) expect(context ?? 'left behind').toBe('left behind')
    }
  })

  it('is not kept by anything once the request is over', async () => {
    const program = new ChildProcess({
      module: new URL('./async-contexts-program.ts', import.meta.url),
      execArgv: ['--import', 'tsx', '--expose-gc'],
    })
    onTestFinished(() => program.kill())
    expect(await program.ask('contexts')).toEqual({
      memory: ['200', 'collected'],
      'sqlite store': ['200', 'collected'],
      'sqlite inbox': ['200', 'collected'],
    })
  })
})

describe('AsyncLocalStorage, in work that requests share', () => {
  it('is a batch that runs in the context of none of them', async () => {
    const contexts = new AsyncLocalStorage<string>()
    const seen: (string | undefined)[] = []
    const batches = new Batches<string, string>({
      store: 'testStore',
      keyOf: (item) => item,
      maxItems: 2,
      maxUnderWay: 1,
      run: async (items) => {
        seen.push(contexts.getStore())
        contexts.enterWith('left behind')
        return items
      },
    })
    const added = ['a', 'b', 'c', 'd', 'e'].map((item) =>
      contexts.run(item, async () => [await batches.add(item), contexts.getStore()]),
    )
    for (const [item, context] of await Promise.all(added)) expect(context).toBe(item)
    expect(seen).toEqual([undefined, undefined, undefined])
  })

  it('is a transaction of SQLite that runs in the context of none of them', async () => {
    const contexts = new AsyncLocalStorage<string>()
    const seen = new Set<string | undefined>()
    const database = new Database(':memory:', { verbose: () => seen.add(contexts.getStore()) })
    const store = sqliteStore(database)
    await store.migrate()
    seen.clear()
    const claimed = ['a', 'b', 'c'].map((key) =>
      contexts.run(key, async () => {
        await store.claim(key, { owner: key, leaseMs: 1_000, fingerprint: key })
        return contexts.getStore()
      }),
    )
    expect(await Promise.all(claimed)).toEqual(['a', 'b', 'c'])
    expect([...seen]).toEqual([undefined])
  })
})
