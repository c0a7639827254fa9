import { type IdempotencyStore, PermanentFailure } from 'ringhook'
import { expect, it, vi } from 'vitest'
import type { QueuedDelivery } from '../../examples/shared/queued-deliveries.ts'
import { gate } from '../helpers/endpoint.ts'
import {
  type Broker,
  benchOf,
  completed,
  deliver,
  idOf,
  keepErrorsQuiet,
  newFileStore,
  newStore,
  patience,
  secret,
} from './broker.ts'
import { proxyTo } from './broker-proxy.ts'
import { start } from './program.ts'

/** The promises of the consumer of an example with a broker. */
export function consumesSafely(broker: Broker): void {
  const { newPlace, web, consumer } = benchOf(broker)

  it('handles an event once, although two instances of the web process took it', async () => {
    const place = newPlace()
    const addresses = [await web(place), await web(place)]
    const request = completed()
    const other = completed()
    const runs: unknown[] = []

    for (const address of addresses) {
      expect(await deliver(address, request)).toEqual([200, 'handled'])
    }
    await deliver(addresses[0] ?? '', other)
    const { seen, close } = await consumer(place, { on: { '*': ({ id }) => void runs.push(id) } })

    await vi.waitFor(() => expect(runs).toContain(idOf(other)), patience)
    await close()
    expect(runs.sort()).toEqual([idOf(request), idOf(other)].sort())
    // JetStream knows the message by its id. RabbitMQ takes both, and the store knows the event.
    const repeats = broker.name === 'nats' ? [] : ['duplicate']
    expect(seen().sort()).toEqual([...repeats, 'handled 1', 'handled 1'])
    expect(await broker.read(place, 'waiting')).toEqual([])
  })

  it('tries again what failed, until it succeeds', async () => {
    const place = newPlace()
    const address = await web(place)
    let runs = 0
    const { seen, close } = await consumer(place, {
      on: {
        'call.completed': () => {
          runs++
          if (runs < 3) throw new Error('not yet')
        },
      },
    })

    await deliver(address, completed())

    await vi.waitFor(() => expect(seen()).toEqual(['failed 1', 'failed 2', 'handled 3']), patience)
    await close()
    expect(await broker.read(place, 'waiting')).toEqual([])
    expect(await broker.read(place, 'dead')).toEqual([])
  })

  it.each([
    ['always fails', { on: { '*': fail }, maxAttempts: 2 }, ['failed 1', 'failed 2']],
    ['fails for good', { on: { '*': failForGood } }, ['failed 1']],
    ['does not verify', { on: { '*': fail }, secret: 'another secret' }, ['rejected']],
  ])('puts a message that %s among the dead letters, with its bytes', async (_, options, story) => {
    const place = newPlace()
    const address = await web(place)
    const { seen, close } = await consumer(place, options)
    const request = completed()

    await deliver(address, request)

    const dead: QueuedDelivery[] = []
    await vi.waitFor(async () => {
      dead.push(...(await broker.read(place, 'dead')))
      expect(dead).toHaveLength(1)
    }, patience)
    const { rawBody, headers } = request
    expect(dead).toMatchObject([{ body: Buffer.from(rawBody), headers }])
    await close()
    expect(seen()).toEqual(story)
    expect(await broker.read(place, 'waiting')).toEqual([])
  })

  it('keeps a message in hand while the store is down, and counts it as no failure', async () => {
    const place = newPlace()
    const address = await web(place)
    const store = await newStore()
    let isDown = true
    const claim: IdempotencyStore['claim'] = async (...values) => {
      if (isDown) throw new Error('down')
      return store.claim(...values)
    }
    const { seen } = await consumer(place, {
      store: { ...own(store), claim },
      on: { '*': () => {} },
      maxAttempts: 1,
    })

    await deliver(address, completed())
    await vi.waitFor(() => expect(seen()).toEqual(['unavailable']), patience)
    isDown = false

    await vi.waitFor(() => expect(seen()).toEqual(['unavailable', 'handled 1']), patience)
    expect(await broker.read(place, 'dead')).toEqual([])
  })

  it('runs an event again whose consumer was killed, and finishes it once', async () => {
    const place = newPlace()
    const address = await web(place)
    const { store, file } = newFileStore()
    const args = [broker.name, broker.url, place, file, secret]
    const killed = await start('test/examples/slow-consumer.ts', { args })
    await killed.printed(/Consuming/)
    await deliver(address, completed())
    await killed.printed(/writing/)

    killed.kill('SIGKILL')
    await killed.ended
    const { seen, close } = await consumer(place, { store, on: { '*': () => {} } })

    await vi.waitFor(() => expect(seen()).toContain('handled 2'), patience)
    await close()
    expect(seen().filter((outcome) => outcome.startsWith('handled'))).toHaveLength(1)
    expect(await broker.read(place, 'waiting')).toEqual([])
    expect(await broker.read(place, 'dead')).toEqual([])
  })

  it('handles an event once whose consumer lost its connection, and goes on', async () => {
    keepErrorsQuiet()
    const place = newPlace()
    const proxy = await proxyTo(broker.url)
    const address = await web(place)
    const first = completed()
    const running = gate()
    const work = gate()
    const runs: string[] = []
    const { seen, close } = await consumer(place, {
      url: proxy.url,
      on: {
        '*': ({ id }) => {
          runs.push(id)
          running.open()
          return id === idOf(first) ? work.opened : undefined
        },
      },
    })
    const finished = () => seen().filter((outcome) => outcome === 'handled 1').length
    await deliver(address, first)
    await running.opened

    await proxy.cut()
    await proxy.restore()
    const second = completed()
    await deliver(address, second)
    await vi.waitFor(() => expect(finished()).toBe(1), patience)
    work.open()
    await vi.waitFor(() => expect(finished()).toBe(2), patience)

    await close()
    expect(runs).toEqual([idOf(first), idOf(second)])
    expect(await broker.read(place, 'waiting')).toEqual([])
    expect(await broker.read(place, 'dead')).toEqual([])
  })

  it('is two programs, which end well', async () => {
    const place = newPlace()
    const { file } = newFileStore()
    const env = {
      ...{ KROSAI_WEBHOOK_SECRET: secret, PORT: '0', RINGHOOK_DB: file },
      ...{ RABBITMQ_URL: broker.url, RINGHOOK_QUEUE: place },
      ...{ NATS_URL: broker.url, RINGHOOK_STREAM: place },
    }
    const server = await start(`examples/${broker.name}/server.ts`, { env })
    const worker = await start(`examples/${broker.name}/consumer.ts`, { env })
    const [, address = ''] = await server.printed(/Listening on (\S+)\n/)
    const request = completed()

    expect(await deliver(address, request)).toEqual([200, 'handled'])
    await worker.printed(new RegExp(`^call.completed ${idOf(request)}: handled$`, 'm'))

    for (const program of [server, worker]) {
      program.kill('SIGTERM')
      const stdout = expect.stringMatching(/SIGTERM: letting handlers finish\nStopped\n$/)
      expect(await program.ended).toMatchObject({ code: 0, stdout, stderr: '' })
    }
    expect(await broker.read(place, 'waiting')).toEqual([])
  })

  it('lets a handler finish when it is closed, and leaves the rest to the next', async () => {
    const place = newPlace()
    const address = await web(place)
    const running = gate()
    const work = gate()
    const { seen, close } = await consumer(place, {
      on: {
        '*': () => {
          running.open()
          return work.opened
        },
      },
    })
    await deliver(address, completed())
    await running.opened

    const closed = close()
    work.open()
    await closed

    expect(seen()).toEqual(['handled 1'])
    expect(await broker.read(place, 'waiting')).toEqual([])
    await deliver(address, completed())
    expect(await broker.read(place, 'waiting')).toHaveLength(1)
  })
}

function fail(): never {
  throw new Error('as always')
}

function failForGood(): never {
  throw new PermanentFailure('no such customer')
}

/** A store as plain functions, of which a test may replace some. */
function own(store: IdempotencyStore): IdempotencyStore {
  return {
    claim: (...values) => store.claim(...values),
    extend: (...values) => store.extend(...values),
    complete: (...values) => store.complete(...values),
    release: (...values) => store.release(...values),
    forget: (...values) => store.forget(...values),
    status: (...values) => store.status(...values),
  }
}
