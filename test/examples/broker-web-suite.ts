import { krosai } from 'ringhook'
import { signedRequest } from 'ringhook/testing'
import { expect, it, vi } from 'vitest'
import {
  type Broker,
  benchOf,
  completed,
  deliver,
  keepErrorsQuiet,
  patience,
  secret,
} from './broker.ts'
import { proxyTo } from './broker-proxy.ts'
import { start } from './program.ts'

/** The promises of the web process of an example with a broker. */
export function publishesSafely(broker: Broker): void {
  const { newPlace, web } = benchOf(broker)

  it('answers when the broker has confirmed, and not before', async () => {
    const place = newPlace()
    const proxy = await proxyTo(broker.url)
    const address = await web(place, proxy.url)
    let answered = false
    proxy.hold()

    const answer = deliver(address, completed()).finally(() => {
      answered = true
    })
    await vi.waitFor(
      async () => expect(await broker.read(place, 'waiting')).toHaveLength(1),
      patience,
    )

    expect(answered).toBe(false)
    proxy.release()
    expect(await answer).toEqual([200, 'handled'])
  })

  it('publishes what was signed, once, and answers a repeat without the broker', async () => {
    const place = newPlace()
    const address = await web(place)
    const request = completed()

    expect(await deliver(address, request)).toEqual([200, 'handled'])
    expect(await deliver(address, request)).toEqual([200, 'duplicate'])

    const { rawBody, headers } = request
    expect(await broker.read(place, 'waiting')).toEqual([
      { id: expect.stringMatching(/^krosai~[\w.~-]+$/), body: Buffer.from(rawBody), headers },
    ])
  })

  it('publishes nothing that is forged', async () => {
    const place = newPlace()
    const address = await web(place)

    const forged = signedRequest(krosai, 'call.completed', { secret, forge: true })

    expect(await deliver(address, forged)).toEqual([401, 'rejected'])
    expect(await broker.read(place, 'waiting')).toEqual([])
  })

  it('is refused without a secret, and where the port is taken, and ends', async () => {
    const env = {
      ...{ RABBITMQ_URL: broker.url, RINGHOOK_QUEUE: newPlace() },
      ...{ NATS_URL: broker.url, RINGHOOK_STREAM: newPlace() },
    }
    const { port } = new URL(await web(newPlace()))
    const server = `examples/${broker.name}/server.ts`

    const bare = await start(server, { env: { ...env, PORT: '0' } })
    const late = await start(server, { env: { ...env, PORT: port, KROSAI_WEBHOOK_SECRET: secret } })

    const noSecret = expect.stringMatching(/^There is no secret for krosai: /)
    expect(await bare.ended).toMatchObject({ code: 1, stdout: '', stderr: noSecret })
    const taken = expect.stringMatching(new RegExp(`^Port ${port} is taken\\.`))
    expect(await late.ended).toMatchObject({ code: 1, stdout: '', stderr: taken })
  })

  it('answers 500 while the broker cannot be reached, and takes the repeat when it can', async () => {
    keepErrorsQuiet()
    const place = newPlace()
    const proxy = await proxyTo(broker.url)
    const address = await web(place, proxy.url)
    const request = completed()

    await proxy.cut()
    expect(await deliver(address, request)).toEqual([500, 'failed'])
    await proxy.restore()

    await vi.waitFor(
      async () => expect(await deliver(address, request)).toEqual([200, 'handled']),
      patience,
    )
    expect(await broker.read(place, 'waiting')).toHaveLength(1)
  })

  it('answers 500 where the broker says nothing', async () => {
    const proxy = await proxyTo(broker.url)
    const address = await web(newPlace(), proxy.url)

    proxy.hold()
    const answer = await deliver(address, completed())
    proxy.release()

    expect(answer).toEqual([500, 'failed'])
  })

  it('answers 500 where the messages would go nowhere', async () => {
    const place = newPlace()
    const address = await web(place)

    await broker.remove(place)

    expect(await deliver(address, completed())).toEqual([500, 'failed'])
  })

  it('does not start without its broker, and says what to do', async () => {
    const proxy = await proxyTo(broker.url)
    await proxy.cut()
    const variable = broker.name === 'nats' ? 'NATS_URL' : 'RABBITMQ_URL'
    await expect(web('nowhere', proxy.url)).rejects.toThrow(
      new RegExp(`cannot be used: .+\\. Start it, or set ${variable} to where it is\\.$`),
    )
  })
}
