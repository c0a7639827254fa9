import { once } from 'node:events'
import { createRequire } from 'node:module'
import express from 'express'
import { createReceiver, krosai, RinghookError } from 'ringhook'
import { krosaiWebhooks } from 'ringhook/express'
import { createKrosaiApi } from 'ringhook/krosai-api'
import manifest from 'ringhook/package.json' with { type: 'json' }
import { deliver, fixture, signedRequest } from 'ringhook/testing'

const secret = 'a secret of the consumer'
const handled = []
const on = { 'call.completed': (event) => void handled.push(event.data.call_id) }

const app = express()
app.post('/hooks', krosaiWebhooks({ secret, on }))
const server = app.listen(0, '127.0.0.1')
await once(server, 'listening')
const response = await fetch(
  `http://127.0.0.1:${server.address().port}/hooks`,
  signedRequest(krosai, completed('call_of_the_server'), { secret }),
)
const answer = { status: response.status, body: await response.json() }
server.close()

const receiver = createReceiver(krosai, { secret, on })
const { status, outcome } = await deliver(receiver, completed('call_of_the_kit'))

console.log(
  JSON.stringify({
    version: process.version,
    answer,
    delivered: { status, outcome },
    handled,
    refusal: refusal(),
    listed: await listed(),
    entries: await Promise.all(entryNames().map(compare)),
  }),
)

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

/** An import and a require must give the same classes, functions and objects. */
async function compare(name) {
  const specifier = name.replace('.', 'ringhook')
  const imported = await import(specifier)
  const required = createRequire(import.meta.url)(specifier)
  return {
    entry: name === '.' ? 'index' : name.slice(2),
    same: Object.keys(imported).every((key) => imported[key] === required[key]),
  }
}
