const { once } = require('node:events')
const express = require('express')
const { createReceiver, krosai, RinghookError } = require('ringhook')
const { krosaiWebhooks } = require('ringhook/express')
const { deliver, fixture, signedRequest } = require('ringhook/testing')

const secret = 'a secret of the consumer'

test('a delivery over HTTP is handled', async () => {
  const handler = jest.fn()
  const app = express()
  app.post('/hooks', krosaiWebhooks({ secret, on: { 'call.completed': handler } }))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')

  const response = await fetch(
    `http://127.0.0.1:${server.address().port}/hooks`,
    signedRequest(krosai, 'call.completed', { secret }),
  )

  expect(response.status).toBe(200)
  expect(await response.json()).toEqual({ outcome: 'handled' })
  expect(handler).toHaveBeenCalledTimes(1)
  server.close()
})

test('a fixture is delivered without a server', async () => {
  const handler = jest.fn()
  const receiver = createReceiver(krosai, { secret, on: { 'call.completed': handler } })
  const payload = fixture(krosai, 'call.completed', { data: { call_id: 'call_of_the_kit' } })

  const { status, outcome } = await deliver(receiver, payload)

  expect({ status, outcome }).toEqual({ status: 200, outcome: 'handled' })
  expect(handler.mock.calls[0][0].data.call_id).toBe('call_of_the_kit')
})

test('a fixture is delivered twice under fake timers, with the date moved', async () => {
  jest.useFakeTimers({ now: Date.now() + 365 * 24 * 3_600_000 })
  try {
    const handler = jest.fn()
    const receiver = createReceiver(krosai, { secret, on: { 'call.completed': handler } })
    const { outcome, duplicates } = await deliver(receiver, 'call.completed', { duplicate: 1 })

    expect([outcome, duplicates[0].outcome].sort()).toEqual(['duplicate', 'handled'])
    expect(handler).toHaveBeenCalledTimes(1)
  } finally {
    jest.useRealTimers()
  }
})

test('a set-up without a secret is refused with a known error', () => {
  expect(() => krosaiWebhooks({ secret: undefined, on: {} })).toThrow(RinghookError)
  expect(() => krosaiWebhooks({ secret: undefined, on: {} })).toThrow(
    expect.objectContaining({ code: 'RINGHOOK_SECRET_MISSING' }),
  )
})
