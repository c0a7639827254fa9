const { once } = require('node:events')
const express = require('express')
const { createReceiver, krosai, RinghookError } = require('ringhook')
const { krosaiWebhooks } = require('ringhook/express')
const { createKrosaiApi } = require('ringhook/krosai-api')
const manifest = require('ringhook/package.json')
const { deliver, fixture, signedRequest } = require('ringhook/testing')

const secret = 'a secret of the consumer'
const handled = []
const on = { 'call.completed': (event) => void handled.push(event.data.call_id) }

void consume().then((report) => console.log(JSON.stringify(report)))

async function consume() {
  const answer = await receive()
  const receiver = createReceiver(krosai, { secret, on })
  const { status, outcome } = await deliver(receiver, completed('call_of_the_kit'))
  return {
    version: process.version,
    answer,
    delivered: { status, outcome },
    handled,
    refusal: refusal(),
    listed: await listed(),
    entries: await Promise.all(entryNames().map(compare)),
  }
}

async function receive() {
  const app = express()
  app.post('/hooks', krosaiWebhooks({ secret, on }))
  const server = app.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const response = await fetch(
    `http://127.0.0.1:${server.address().port}/hooks`,
    signedRequest(krosai, completed('call_of_the_server'), { secret }),
  )
  const body = await response.json()
  server.close()
  return { status: response.status, body }
}

function completed(callId) {
  return fixture(krosai, 'call.completed', { data: { call_id: callId } })
}

/** Takes the package along that the client of the API needs. */
async function listed() {
  const fetch = async () => Response.json([{ id: 'wh_1', url: 'https://example.com' }])
  const webhooks = await createKrosaiApi({ apiKey: 'kros_test_x', fetch }).webhooks.list()
  return webhooks.map(({ id }) => id)
}

/** The class comes from one entry, the error from another. */
function refusal() {
  try {
    krosaiWebhooks({ secret: undefined, on })
  } catch (error) {
    return { known: error instanceof RinghookError, code: error.code }
  }
}

function entryNames() {
  return Object.keys(manifest.exports).filter((name) => name !== './package.json')
}

/** A require and an import must give the same classes, functions and objects. */
async function compare(name) {
  const specifier = name.replace('.', 'ringhook')
  const required = require(specifier)
  const imported = await import(specifier)
  return {
    entry: name === '.' ? 'index' : name.slice(2),
    same: Object.keys(imported).every((key) => imported[key] === required[key]),
  }
}
