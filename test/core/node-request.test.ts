import { Readable } from 'node:stream'
import { describe, expect, it } from 'vitest'
import { nodeRequest } from '../../src/core/request/node-request.ts'

function message(rawBody?: unknown) {
  const stream = Readable.from([Buffer.from('{}')])
  return Object.assign(stream, { method: 'POST', url: '/', headers: {}, rawBody })
}

describe('nodeRequest', () => {
  const bytes = Buffer.from('{"a":1}')

  it('takes the bytes that a parser or a platform kept, on its own request or on Node’s', () => {
    expect(nodeRequest(message(), { rawBody: bytes }).body).toBe(bytes)
    expect(nodeRequest(message(), { body: bytes }).body).toBe(bytes)
    expect(nodeRequest(message(bytes)).body).toBe(bytes)
    expect(nodeRequest(message(bytes), { body: { a: 1 } }).body).toBe(bytes)
  })

  it('takes the stream where nothing but text or values were kept', () => {
    const request = message('{"a":1}')
    expect(nodeRequest(request, { body: { a: 1 } }).body).toBe(request)
    expect(nodeRequest(request).body).toBe(request)
  })

  it('takes nothing where the stream was read and no bytes were kept', async () => {
    const request = message()
    for await (const _ of request) {
      // Read to its end.
    }
    expect(nodeRequest(request, { body: { a: 1 }, rawBody: '{"a":1}' }).body).toBeUndefined()
  })
})
