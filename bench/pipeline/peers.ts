import { execFile } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { flat, type SignedBody } from '../deliveries.ts'
import { peerVersions } from '../machine.ts'

/** What is measured on the same bodies, each with the signature of its own scheme. */
export interface Subject {
  readonly name: string
  /** What it does, in words for the table. */
  readonly does: string
  /** Makes what it takes out of a body. Not measured. */
  prepare(body: SignedBody): unknown
  /** Takes one through. Gives whether it was taken as it should be. */
  take(prepared: unknown): boolean | Promise<boolean>
}

const secret = 'MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'

/** Installs the peers in their own folder, unless they are there. */
export async function installPeers(root: string): Promise<void> {
  const folder = `${root}bench/peers/`
  const names = Object.keys(peerVersions(root))
  if (names.every((name) => existsSync(`${folder}node_modules/${name}`))) return
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--no-save']
  await promisify(execFile)('npm', ['install', ...quiet], { cwd: folder })
}

/** Loads the peers from their folder. Each is used as its own page shows it. */
export function loadPeers(root: string): readonly Subject[] {
  const load = createRequire(`${root}bench/peers/package.json`)
  return [octokit(load), stripe(load), standard(load), svix(load), tern(load)]
}

type Load = (name: string) => unknown

function octokit(load: Load): Subject {
  interface Octokit {
    on(name: string, handler: () => void): void
    verifyAndReceive(event: object): Promise<void>
  }
  const { Webhooks } = load('@octokit/webhooks') as {
    readonly Webhooks: new (options: { readonly secret: string }) => Octokit
  }
  const webhooks = new Webhooks({ secret })
  let handled = 0
  webhooks.on('push', () => {
    handled++
  })
  return {
    name: '@octokit/webhooks',
    does: 'verifies, parses, routes',
    prepare: ({ body }) => ({ body, signature: flat(`sha256=${hex(body)}`) }),
    take: async (prepared) => {
      const { body, signature } = prepared as { readonly body: Buffer; readonly signature: string }
      const before = handled
      // It takes text. The bytes come from the wire.
      const payload = body.toString()
      await webhooks.verifyAndReceive({ id: '1', name: 'push', payload, signature })
      return handled === before + 1
    },
  }
}

function stripe(load: Load): Subject {
  type Construct = (body: Buffer, header: string, secret: string) => { readonly event: string }
  const Stripe = load('stripe') as new (
    key: string,
  ) => { readonly webhooks: { readonly constructEvent: Construct } }
  const client = new Stripe('sk_test_example')
  const time = Math.floor(Date.now() / 1_000)
  return {
    name: 'stripe',
    does: 'verifies, parses',
    prepare: ({ body }) => ({
      body,
      header: flat(`t=${time},v1=${hex(Buffer.concat([Buffer.from(`${time}.`), body]))}`),
    }),
    take: (prepared) => {
      const { body, header } = prepared as { readonly body: Buffer; readonly header: string }
      return client.webhooks.constructEvent(body, header, secret).event === 'call.completed'
    },
  }
}

type Verifier = new (
  secret: string,
) => {
  verify(body: Buffer, headers: Readonly<Record<string, string>>): unknown
}

function standard(load: Load): Subject {
  const { Webhook } = load('standardwebhooks') as { readonly Webhook: Verifier }
  return standardWebhook('standardwebhooks', 'webhook', Webhook)
}

function svix(load: Load): Subject {
  const { Webhook } = load('svix') as { readonly Webhook: Verifier }
  return standardWebhook('svix', 'svix', Webhook)
}

function standardWebhook(name: string, header: string, Webhook: Verifier): Subject {
  const webhook = new Webhook(`whsec_${secret}`)
  const time = String(Math.floor(Date.now() / 1_000))
  return {
    name,
    does: 'verifies, parses',
    prepare: ({ body }) => {
      const signed = Buffer.concat([Buffer.from(`msg_1.${time}.`), body])
      const key = Buffer.from(secret, 'base64')
      const headers = {
        [`${header}-id`]: 'msg_1',
        [`${header}-timestamp`]: time,
        [`${header}-signature`]: flat(
          `v1,${createHmac('sha256', key).update(signed).digest('base64')}`,
        ),
      }
      return { body, headers }
    },
    take: (prepared) => {
      const { body, headers } = prepared as {
        readonly body: Buffer
        readonly headers: Readonly<Record<string, string>>
      }
      const { event } = webhook.verify(body, headers) as { readonly event: string }
      return event === 'call.completed'
    },
  }
}

function tern(load: Load): Subject {
  const { WebhookVerificationService: service } = load('@hookflo/tern') as {
    readonly WebhookVerificationService: {
      verify(request: Request, options: object): Promise<{ readonly isValid: boolean }>
    }
  }
  return {
    name: '@hookflo/tern',
    does: 'verifies, parses',
    prepare: ({ body }) => ({ body, signature: flat(`sha256=${hex(body)}`) }),
    take: async (prepared) => {
      const { body, signature } = prepared as { readonly body: Buffer; readonly signature: string }
      // It takes a web Request, which somebody has to make of Node's.
      const headers = { 'x-hub-signature-256': signature }
      const request = new Request('http://localhost/hooks', { method: 'POST', headers, body })
      return (await service.verify(request, { platform: 'github', secret })).isValid
    },
  }
}

function hex(signed: Buffer): string {
  return createHmac('sha256', secret).update(signed).digest('hex')
}
