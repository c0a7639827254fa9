import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { describe, expect, it, onTestFinished } from 'vitest'
import { FaultyProxy, type NetworkFault } from '../../chaos/proxy.ts'

describe('FaultyProxy', () => {
  it('passes everything on while nothing is wrong', async () => {
    const { client } = await stage()

    expect(await ask(client, 'one')).toBe('one')
    expect(await ask(client, 'two')).toBe('two')
  })

  it('resets old and new connections when it refuses', async () => {
    const { proxy, client, dial } = await stage()
    await ask(client, 'one')
    const ended = endOf(client)
    proxy.begin('refuse', 0)

    expect(await ended).toBe('ECONNRESET')
    expect(await endOf(dial())).toBe('ECONNRESET')
    expect(proxy.hits.refuse).toBe(2)
  })

  it('keeps the order of what it delays, also when the delay ends meanwhile', async () => {
    const { proxy, client, received } = await stage()
    await ask(client, 'one')
    proxy.begin('delay', 50)
    client.write('two')
    await until(() => proxy.hits.delay === 1)
    proxy.heal()

    expect(await ask(client, 'three')).toBe('twothree')
    expect(received()).toBe('onetwothree')
  })

  it('swallows everything in a black hole, and breaks the connection when that ends', async () => {
    const { proxy, client, received } = await stage()
    await ask(client, 'one')
    proxy.begin('black-hole', 0)
    const ended = endOf(client)
    client.write('two')
    await until(() => proxy.hits['black-hole'] === 1)
    proxy.heal()

    expect(await ended).toBe('ECONNRESET')
    expect(received()).toBe('one')
  })

  it('cuts the connection after the server was told and before the client hears of it', async () => {
    const { proxy, client, received } = await stage()
    await ask(client, 'one')
    proxy.begin('cut', 0)
    const ended = endOf(client)
    let heard = ''
    client.on('data', (bytes) => {
      heard += String(bytes)
    })
    client.write('two')

    expect(await ended).toBe('ECONNRESET')
    expect(received()).toBe('onetwo')
    expect(heard).toBe('')
    expect(proxy.hits.cut).toBe(1)
  })

  it.each<NetworkFault>(['refuse', 'delay', 'black-hole', 'cut'])(
    'serves new connections when it has healed from: %s',
    async (fault) => {
      const { proxy, dial } = await stage()
      proxy.begin(fault, 10)
      proxy.heal()

      expect(await ask(dial(), 'again')).toBe('again')
    },
  )
})

/** A server that sends back whatever it is sent, behind a proxy, and a client. */
async function stage() {
  const told: string[] = []
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (bytes) => {
      told.push(String(bytes))
      socket.write(bytes)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const proxy = await FaultyProxy.open({ host: '127.0.0.1', port })
  const dial = () => {
    const socket = connect(proxy.port, '127.0.0.1')
    socket.on('error', () => {})
    onTestFinished(() => void socket.destroy())
    return socket
  }
  onTestFinished(async () => {
    await proxy.close()
    server.close()
  })
  return { proxy, client: dial(), dial, received: () => told.join('') }
}

/** Writes text and gives what comes back, up to its end. */
function ask(client: Socket, text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let heard = ''
    const listen = (bytes: Buffer) => {
      heard += String(bytes)
      if (!heard.endsWith(text)) return
      client.off('data', listen)
      resolve(heard)
    }
    client.on('data', listen)
    client.once('close', () => reject(new Error(`closed after "${heard}"`)))
    client.write(text)
  })
}

/** How a connection ended: with the code of its error, if it had one. */
function endOf(client: Socket): Promise<string> {
  return new Promise((resolve) => {
    client.once('error', (error) => resolve(String((error as NodeJS.ErrnoException).code)))
    client.once('close', () => resolve('closed'))
    client.resume()
  })
}

async function until(isTrue: () => boolean): Promise<void> {
  while (!isTrue()) await new Promise((resolve) => setImmediate(resolve))
}
