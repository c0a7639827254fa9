import Router from '@koa/router'
import express, { type RequestHandler } from 'express'
import Fastify from 'fastify'
import Koa, { type Middleware } from 'koa'
import { createReceiver, krosai } from 'ringhook'
import * as forExpress from 'ringhook/express'
import * as forFastify from 'ringhook/fastify'
import * as forKoa from 'ringhook/koa'

const options = {
  secret: process.env.KROSAI_WEBHOOK_SECRET,
  on: { 'call.completed': () => {} },
}
const receiver = createReceiver(krosai, options)

const handler: RequestHandler = forExpress.webhooks(receiver)
express().post('/hooks', forExpress.krosaiWebhooks(options)).use('/more', handler)

const middleware: Middleware = forKoa.webhooks(receiver)
const router = new Router().post('/hooks', forKoa.krosaiWebhooks(options))
new Koa().use(router.routes()).use(middleware)

const fastify = Fastify()
fastify.register(forFastify.krosaiWebhooks(options), { prefix: '/hooks' })
await fastify.register(forFastify.webhooks(receiver), { prefix: '/more' })
