import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import pg from 'pg'
import { expect, it, onTestFinished } from 'vitest'
import { postgresStore } from '../../src/stores/postgres.ts'

it('postgresStore() outlives a server that ends in the moment in which a pool hands out a connection', async () => {
  const { port } = await startDying()
  const pool = new pg.Pool({ connectionString: `postgres://somebody@127.0.0.1:${port}/test` })
  onTestFinished(() => pool.end())
  pool.on('error', () => {})
  const claim = postgresStore(pool).claim('a'.repeat(64), {
    owner: 'owner',
    leaseMs: 1_000,
    fingerprint: 'b'.repeat(64),
  })

  // Without a listener the error would end the process, and the test.
  await expect(claim).rejects.toMatchObject({ code: 'RINGHOOK_STORE_UNREACHABLE' })
})

/** A server that logs everybody in and ends at once, all in one packet. */
async function startDying(): Promise<{ readonly port: number }> {
  const fields = ['SFATAL', 'VFATAL', 'C57P01', 'Mterminating connection', '']
  const farewell = Buffer.concat([
    message('R', Buffer.alloc(4)),
    message('Z', Buffer.from('I')),
    message('E', Buffer.from(fields.map((field) => `${field}\0`).join(''))),
  ])
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.once('data', () => socket.end(farewell))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(() => void server.close())
  return server.address() as AddressInfo
}

/** A message of the protocol: its type, its length, its content. */
function message(type: string, content: Buffer): Buffer {
  const head = Buffer.alloc(5)
  head.write(type)
  head.writeInt32BE(content.length + 4, 1)
  return Buffer.concat([head, content])
}
