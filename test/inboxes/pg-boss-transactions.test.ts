import type { PoolClient } from 'pg'
import { pgBossInbox } from 'ringhook/inboxes/pg-boss'
import { expect, it, onTestFinished } from 'vitest'
import type { Attempt } from '../../src/inboxes/inbox.ts'
import { describeOn } from '../helpers/servers.ts'
import { done, pgBossSchema, put, retry, until, work } from './pg-boss-queues.ts'

describeOn('postgres', 'pgBossInbox, in transactions of the user,', (url) => {
  const { schema, admin, boss, inbox: open, change, supervise } = pgBossSchema(url)

  /** Runs one delivery with a handler, up to the end of its first attempt. */
  async function handle(handler: (attempt: Attempt) => Promise<void>) {
    const { inbox, queue } = await open({ transactional: true })
    const id = await put(inbox)
    let error: unknown
    const { attempts } = await work(inbox, async (attempt) => {
      if (attempt.number > 1) return done
      await handler(attempt).catch((reason: unknown) => {
        error = reason
      })
      return retry(60_000)
    })
    await until(() => attempts.length === 1)
    await inbox.stop({ drainMs: 10_000 })
    return { inbox, queue, id, error }
  }

  async function begun(): Promise<PoolClient> {
    const client = await admin.connect()
    onTestFinished(async () => {
      await client.query('ROLLBACK')
      client.release()
    })
    await client.query('BEGIN')
    return client
  }

  it('has attempts that cannot complete, unless it is told to', async () => {
    const { inbox } = await open()
    await put(inbox)
    const { attempts } = await work(inbox, () => done)
    await until(() => attempts.length === 1)

    expect(attempts[0]).not.toHaveProperty('complete')
  })

  it('commits the end of a delivery with the write of its handler', async () => {
    const { inbox, id, error } = await handle(async (attempt) => {
      const client = await begun()
      await client.query(`CREATE TABLE ${schema}.bills (call_id text)`)
      await client.query(`INSERT INTO ${schema}.bills VALUES ('a')`)
      expect(await attempt.complete?.(client)).toBe(true)
      expect(await jobOf(attempt.id)).toMatchObject({ state: 'active' })
      await client.query('COMMIT')
    })

    expect(error).toBeUndefined()
    expect(await inbox.entry(id)).toBeUndefined()
    expect((await admin.query(`SELECT * FROM ${schema}.bills`)).rows).toEqual([{ call_id: 'a' }])
  })

  it('keeps a delivery whose handler rolled back', async () => {
    const { inbox, id } = await handle(async (attempt) => {
      const client = await begun()
      expect(await attempt.complete?.(client)).toBe(true)
      await client.query('ROLLBACK')
    })

    expect(await inbox.entry(id)).toMatchObject({ state: 'delayed', attempts: 1 })
  })

  it('takes an adapter of pg-boss', async () => {
    const { inbox, id } = await handle(async (attempt) => {
      const transaction = await (await boss()).getDb().beginTransaction?.()
      expect(await attempt.complete?.(transaction?.db)).toBe(true)
      await transaction?.commit()
    })

    expect(await inbox.entry(id)).toBeUndefined()
  })

  it('keeps other deliveries alive while a transaction has one', async () => {
    const { inbox } = await open({ transactional: true, heartbeatSeconds: 10 })
    await put(inbox)
    const other = await put(inbox)
    let isHeld = false
    const { errors } = await work(
      inbox,
      async (attempt) => {
        if (attempt.id === other) return await new Promise(() => {})
        await attempt.complete?.(await begun())
        isHeld = true
        return await new Promise(() => {})
      },
      2,
    )
    await until(() => isHeld)
    const beat = async () => {
      const sql = `SELECT heartbeat_on::text AS at FROM ${schema}.job WHERE data ->> 'key' = $1`
      return (await admin.query(sql, [other])).rows[0].at
    }

    const first = await beat()
    await until(async () => (await beat()) !== first)

    expect(errors).toEqual([])
  })

  it('says that it has lost a delivery', async () => {
    const { inbox, queue } = await open({ transactional: true })
    await put(inbox)
    const answers: unknown[] = []
    const { attempts } = await work(inbox, async (attempt) => {
      await change(queue, "heartbeat_on = now() - interval '1 hour'")
      await supervise(queue)
      const client = await begun()
      answers.push(await attempt.complete?.(client))
      await client.query('ROLLBACK')
      return done
    })
    await until(() => answers.length >= 1)
    await inbox.stop()

    expect(attempts[0]?.number).toBe(1)
    expect(answers[0]).toBe(false)
  })

  it('does nothing in what is no transaction of PostgreSQL', async () => {
    const answers: unknown[] = []
    await handle(async (attempt) => {
      for (const given of [undefined, 'BEGIN', {}, { execute() {} }]) {
        answers.push(await attempt.complete?.(given))
      }
    })

    expect(answers).toEqual([undefined, undefined, undefined, undefined])
  })

  it('refuses what is no open transaction', async () => {
    const refusals: unknown[] = []
    const { inbox, id } = await handle(async (attempt) => {
      const idle = await admin.connect()
      const failed = await begun()
      await failed.query('SELECT 1 / 0').catch(() => {})
      for (const given of [admin, idle, failed]) {
        refusals.push(await Promise.resolve(attempt.complete?.(given)).catch((error) => error.code))
      }
      idle.release()
      await failed.query('ROLLBACK')
    })

    expect(refusals).toEqual(['', '', ''].map(() => 'RINGHOOK_TRANSACTION_INVALID'))
    expect(await inbox.entry(id)).toMatchObject({ state: 'delayed' })
  })

  it('refuses the database of its own pg-boss', async () => {
    const its = await boss()
    const { queue } = await open()
    const inbox = pgBossInbox(its, { queue, pollMs: 10, transactional: true })
    await put(inbox)
    let code: unknown
    const { attempts } = await work(inbox, async (attempt) => {
      code = await Promise.resolve(attempt.complete?.(its.getDb())).catch((error) => error.code)
      return done
    })
    await until(() => attempts.length === 1 && code !== undefined)

    expect(code).toBe('RINGHOOK_TRANSACTION_INVALID')
  })

  async function jobOf(key: string) {
    const sql = `SELECT state::text FROM ${schema}.job WHERE data ->> 'key' = $1`
    return (await admin.query(sql, [key])).rows[0]
  }
})
