import { createServer } from 'node:http'
import Router from '@koa/router'
import express from 'express'
import Fastify from 'fastify'
import Koa from 'koa'
import { createReceiver, krosai } from 'ringhook'
import { webhooks as expressWebhooks } from 'ringhook/express'
import { webhooks as fastifyWebhooks } from 'ringhook/fastify'
import { webhooks as koaWebhooks } from 'ringhook/koa'
import { expectTypeOf } from 'vitest'

// Compiled, never run: tsc is the test.
const receiver = createReceiver(krosai, { secret: process.env['WEBHOOK_SECRET'] })

// Each adapter where it belongs.
createServer(expressWebhooks(receiver))
express().post('/hooks', expressWebhooks(receiver))
new Koa().use(koaWebhooks(receiver))
new Router().post('/hooks', koaWebhooks(receiver))
Fastify().register(fastifyWebhooks(receiver), { prefix: '/hooks' })
expectTypeOf(expressWebhooks(receiver)).returns.toEqualTypeOf<Promise<void>>()

// In another framework it does not compile, where the framework's own types are strict enough.
// @ts-expect-error -- Koa passes a context
new Koa().use(expressWebhooks(receiver))
// @ts-expect-error -- Node passes its request
createServer(koaWebhooks(receiver))
// @ts-expect-error -- a route of Fastify gets a request and a reply
Fastify().post('/hooks', expressWebhooks(receiver))
// @ts-expect-error -- it is a plugin, and no handler
Fastify().post('/hooks', fastifyWebhooks(receiver))
// @ts-expect-error -- a plugin gets an instance
Fastify().register(koaWebhooks(receiver))
