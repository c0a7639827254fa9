import express, { type Express } from 'express'
import { krosaiWebhooks } from '../../src/express.ts'
import { secret } from '../deliveries.ts'
import { handleByHand, type OnCall } from './by-hand.ts'
import { octokitMiddleware } from './octokit.ts'

const raw = express.raw({ type: '*/*', limit: '1mb' })

export function bare(): Express {
  return express().post('/hooks', raw, (_request, response) => {
    response.sendStatus(200)
  })
}

export function byHand(onCall: OnCall): Express {
  const handle = handleByHand(onCall)
  return express().post('/hooks', raw, async (request, response) => {
    const body = request.body as Buffer
    response.sendStatus(await handle(body, request.headers['x-webhook-signature']))
  })
}

export function octokit(onCall: OnCall): Express {
  return express().post('/hooks', octokitMiddleware(onCall))
}

export function ringhook(onCall: OnCall): Express {
  return express().post(
    '/hooks',
    krosaiWebhooks({
      secret,
      logger: false,
      on: { 'call.completed': (event) => onCall(event.data.call_id) },
    }),
  )
}
