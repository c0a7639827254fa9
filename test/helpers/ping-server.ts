import { jetstreamManager } from '@nats-io/jetstream'
import { connect as connectToNats } from '@nats-io/transport-node'
import { connect as connectToRabbit } from 'amqplib'
import { Redis } from 'ioredis'
import { createConnection } from 'mysql2/promise'
import { Client } from 'pg'

export type ServerName = 'redis' | 'postgres' | 'mysql' | 'rabbitmq' | 'nats'

/** A server that says nothing counts as none after this long. */
const silenceMs = 10_000

const pings: Readonly<Record<ServerName, (url: string) => Promise<unknown>>> = {
  redis: async (url) => {
    const client = new Redis(url, {
      lazyConnect: true,
      connectTimeout: silenceMs,
      commandTimeout: silenceMs,
      maxRetriesPerRequest: 0,
      retryStrategy: () => null,
    })
    // What went wrong with the connection; what the command says is that it was closed.
    let failure: unknown
    client.on('error', (error) => {
      failure = error
    })
    try {
      await client.connect()
      return await client.ping()
    } catch (error) {
      throw failure ?? error
    } finally {
      client.disconnect()
    }
  },
  postgres: async (url) => {
    const client = new Client({ connectionString: url, connectionTimeoutMillis: silenceMs })
    client.on('error', () => {})
    try {
      await client.connect()
      return await client.query('SELECT 1')
    } finally {
      client.end().catch(() => {})
    }
  },
  mysql: async (url) => {
    const connection = await createConnection({ uri: url, connectTimeout: silenceMs })
    connection.on('error', () => {})
    try {
      return await connection.query('SELECT 1')
    } finally {
      connection.destroy()
    }
  },
  rabbitmq: async (url) => {
    const connection = await connectToRabbit(url, { timeout: silenceMs })
    connection.on('error', () => {})
    connection.close().catch(() => {})
  },
  nats: async (url) => {
    const { host, username: user, password: pass } = new URL(url)
    const login = user === '' ? {} : { user, pass }
    const options = { servers: host, ...login, timeout: silenceMs, reconnect: false }
    const connection = await connectToNats(options)
    try {
      // Refused by one that was started without JetStream.
      await jetstreamManager(connection, { timeout: silenceMs })
    } finally {
      connection.close().catch(() => {})
    }
  },
}

/**
 * Asks a server for an answer in its own language, with the user and the database of the URL. Gives
 * why there is none, or `undefined` if it answered.
 */
export async function silenceOf(name: ServerName, url: string): Promise<string | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('it says nothing')), silenceMs + 500)
  })
  try {
    await Promise.race([pings[name](url), late])
    return undefined
  } catch (error) {
    return reasonOf(error)
  } finally {
    clearTimeout(timer)
  }
}

function reasonOf(error: unknown): string {
  if (error instanceof AggregateError) return reasonOf(error.errors[0])
  return error instanceof Error ? error.message : String(error)
}
