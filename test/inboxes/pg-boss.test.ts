import pg from 'pg'
import { PgBoss } from 'pg-boss'
import { type PgBossClient, pgBossInbox } from 'ringhook/inboxes/pg-boss'
import { describe, expect, it, onTestFinished } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { dead, delivery, done, pgBossSchema, put, until, work } from './pg-boss-queues.ts'

const minute = 60_000

describe('pgBossInbox, when it is made,', () => {
  const boss: PgBossClient = new PgBoss('postgres://localhost/nowhere')

  it('takes a PgBoss as it is, and asks nothing of it', () => {
    expect(pgBossInbox(boss)).toMatchObject({ name: 'pgBossInbox', keepsOrder: true })
  })

  it.each([
    ['a connection string', 'postgres://localhost/nowhere'],
    ['nothing', undefined],
    ['a pool of pg', new pg.Pool()],
  ])('refuses %s', (_, given) => {
    expect(() => pgBossInbox(given as unknown as PgBossClient)).toThrow(
      expect.objectContaining({ code: 'RINGHOOK_INBOX_INVALID' }),
    )
  })

  it.each([
    [{ queues: 'a' }, 'has no option "queues"'],
    [{ queue: 'two words' }, 'queue must be'],
    [{ queue: '' }, 'queue must be'],
    [{ pollMs: 0 }, 'pollMs'],
    [{ heartbeatSeconds: 9 }, 'heartbeatSeconds'],
    [{ heartbeatSeconds: 10.5 }, 'heartbeatSeconds'],
    [{ transactional: 'yes' }, 'transactional'],
  ])('refuses the options %j', (options, words) => {
    expect(() => pgBossInbox(boss, options as object)).toThrow(
      expect.objectContaining({
        code: 'RINGHOOK_OPTION_INVALID',
        message: expect.stringContaining(words),
      }),
    )
  })

  it('says that its boss is not started', async () => {
    const inbox = pgBossInbox(boss)
    const stored = delivery()

    const refused = expect.objectContaining({
      code: 'RINGHOOK_STORE_UNREACHABLE',
      message: expect.stringContaining('boss.start()'),
    })
    await expect(inbox.migrate()).rejects.toThrow(refused)
    await expect(inbox.put(stored, { key: stored.key })).rejects.toThrow(refused)
  })
})

describeOn('postgres', 'pgBossInbox', (url) => {
  const { schema, boss, admin, inbox: open, jobs, change, supervise } = pgBossSchema(url)

  it('is migrated by several processes at once, at every start', async () => {
    const bosses = await Promise.all([boss(), boss(), boss()])
    const inboxes = bosses.map((its) => pgBossInbox(its, { queue: 'together' }))

    await Promise.all(inboxes.map((inbox) => inbox.migrate()))
    await inboxes[0]?.migrate()

    expect(await inboxes[2]?.stats()).toEqual({ waiting: 0, running: 0, delayed: 0, dead: 0 })
  })

  it('refuses to work where it was not migrated, and accepts nothing', async () => {
    const inbox = pgBossInbox(await boss(), { queue: 'nowhere' })
    const stored = delivery()

    const refused = expect.objectContaining({ code: 'RINGHOOK_STORE_NOT_MIGRATED' })
    await expect(inbox.put(stored, { key: stored.key })).rejects.toThrow(refused)
    await expect(inbox.start(async () => done, { concurrency: 1, onError() {} })).rejects.toThrow(
      refused,
    )
    await expect(inbox.stats()).rejects.toThrow(refused)
    await expect(inbox.replay('a')).rejects.toThrow(refused)
  })

  it('accepts nothing when its queue was deleted, although pg-boss still knows it', async () => {
    const { inbox, queue } = await open()
    await put(inbox)
    await (await boss()).deleteQueue(queue)
    const stored = delivery()

    await expect(inbox.put(stored, { key: stored.key })).rejects.toThrow(
      expect.objectContaining({ code: 'RINGHOOK_STORE_NOT_MIGRATED' }),
    )
  })

  it('accepts what is done again once it is forgotten, and forgets nothing else', async () => {
    const { inbox, queue } = await open()
    const stored = delivery()
    expect(await inbox.put(stored, { key: stored.key })).toBe('accepted')
    await inbox.forget?.(stored.key)
    expect(await inbox.put(stored, { key: stored.key })).toBe('duplicate')
    await work(inbox, async () => done)
    await until(async () => (await jobs(queue))[0]?.state === 'completed')
    await inbox.stop()
    expect(await inbox.put(stored, { key: stored.key })).toBe('duplicate')

    await Promise.all([inbox.forget?.(stored.key), inbox.forget?.(stored.key)])
    expect(await inbox.put(stored, { key: stored.key })).toBe('accepted')
    expect(await inbox.stats()).toMatchObject({ waiting: 1 })
  })

  it('leaves a queue alone that somebody made for something else', async () => {
    const its = await boss()
    await its.createQueue('orders', { policy: 'standard' })
    const inbox = pgBossInbox(its, { queue: 'orders' })

    const refused = expect.objectContaining({
      code: 'RINGHOOK_INBOX_INVALID',
      message: expect.stringContaining('"orders"'),
    })
    await expect(inbox.migrate()).rejects.toThrow(refused)
    await expect(inbox.start(async () => done, { concurrency: 1, onError() {} })).rejects.toThrow(
      refused,
    )
  })

  it('refuses a pg-boss that cannot open transactions', async () => {
    const db = {
      executeSql: (text: string, values?: unknown[]) => admin.query(text, values),
    }
    const inbox = pgBossInbox(await boss({ db }), { queue: 'without-transactions' })

    await expect(inbox.migrate()).rejects.toThrow(
      expect.objectContaining({
        code: 'RINGHOOK_INBOX_INVALID',
        message: expect.stringContaining('beginTransaction'),
      }),
    )
  })

  it('accepts nothing while its database is away', async () => {
    const { queue } = await open()
    const away = new pg.Pool({ connectionString: url.replace(/:\d+\//, ':1/') })
    onTestFinished(() => away.end())
    let pool: pg.Pool = admin
    const db = {
      executeSql: (text: string, values?: unknown[]) => pool.query(text, values),
    }
    const inbox = pgBossInbox(await boss({ db }), { queue })
    const stored = delivery()
    pool = away

    await expect(inbox.put(stored, { key: stored.key })).rejects.toThrow(
      expect.objectContaining({ code: 'RINGHOOK_STORE_UNREACHABLE' }),
    )
    pool = admin
    expect(await inbox.put(stored, { key: stored.key })).toBe('accepted')
  })

  it('rejects what PostgreSQL cannot keep', async () => {
    const { inbox } = await open()
    const stored = delivery({ eventId: 'a\u0000b' })

    await expect(inbox.put(stored, { key: stored.key })).rejects.toThrow(
      expect.objectContaining({ code: 'RINGHOOK_STORE_FAILED' }),
    )
    expect(await inbox.entry(stored.key)).toBeUndefined()
  })

  it('puts a delivery once, whoever puts it at the same time', async () => {
    const { inbox, queue } = await open()
    const other = pgBossInbox(await boss(), { queue })
    const stored = delivery()

    const answers = await Promise.all(
      Array.from({ length: 20 }, (_, index) =>
        (index % 2 === 0 ? inbox : other).put(stored, { key: stored.key }),
      ),
    )

    expect(answers.filter((answer) => answer === 'accepted')).toHaveLength(1)
    expect(await jobs(queue)).toHaveLength(1)
  })

  it('is deleted by pg-boss when it is done, and never while it waits or is dead', async () => {
    const { inbox, queue } = await open()
    const [letter, finished] = [await put(inbox), await put(inbox)]
    await work(inbox, ({ id }) => (id === letter ? dead() : done))
    await until(async () => (await inbox.entry(finished)) === undefined)
    await inbox.stop()
    const waiting = await put(inbox)

    await change(
      queue,
      `created_on = created_on - interval '10 years', start_after = start_after - interval '10 years',
        keep_until = keep_until - interval '10 years', completed_on = completed_on - interval '10 years'`,
    )
    await supervise(queue)

    expect(await inbox.entry(letter)).toMatchObject({ state: 'dead' })
    expect(await inbox.entry(waiting)).toMatchObject({ state: 'waiting' })
    expect(await jobs(queue)).toHaveLength(2)
  })

  it('deletes what was replayed and is done like everything else', async () => {
    const { inbox, queue } = await open()
    const id = await put(inbox)
    let verdict = dead()
    await work(inbox, () => verdict)
    await until(async () => (await inbox.entry(id))?.state === 'dead')
    verdict = done
    expect(await inbox.replay(id)).toBe(true)
    await until(async () => (await inbox.entry(id)) === undefined)

    expect(await jobs(queue)).toMatchObject([{ state: 'completed', deletion_seconds: 604_800 }])
  })

  it('has as dead letters what somebody cancelled or failed with the tools of pg-boss', async () => {
    const its = await boss()
    const { inbox, queue } = await open({}, its)
    const [cancelled, failed] = [await put(inbox), await put(inbox)]
    const [first, second] = await jobs(queue)
    await its.cancel(queue, first?.id ?? '')
    await admin.query(`UPDATE ${schema}.job SET state = 'failed' WHERE id = $1`, [second?.id])

    expect(await inbox.stats()).toMatchObject({ waiting: 0, dead: 2 })
    expect([await inbox.replay(cancelled), await inbox.replay(failed)]).toEqual([true, true])
    const { attempts } = await work(inbox, () => done)
    await until(() => attempts.length === 2)
    expect(attempts.map(({ id, number }) => ({ id, number }))).toEqual(
      expect.arrayContaining([
        { id: cancelled, number: 1 },
        { id: failed, number: 1 },
      ]),
    )
  })

  it('finds what was damaged so that its key is lost by the id of its job', async () => {
    const { inbox, queue } = await open()
    await put(inbox, { key: 'an order', maxHoldMs: minute })
    await change(queue, 'data = NULL')
    const [job] = await jobs(queue)
    const { attempts } = await work(inbox, () => dead())
    await until(async () => (await inbox.stats()).dead === 1)

    expect(attempts).toMatchObject([{ id: job?.id, number: 1 }])
    expect(await inbox.entry(job?.id ?? '')).toMatchObject({ state: 'dead', delivery: null })
    expect(await inbox.discard(job?.id ?? '')).toBe(true)
    expect(await jobs(queue)).toEqual([])
  })

  it('replays many at once through a pool of one connection, of a pg-boss that was started before its queue was made', async () => {
    const its = await boss({ max: 1 })
    const { inbox, queue } = await open()
    const ids = await Promise.all(Array.from({ length: 30 }, () => put(inbox)))
    await work(inbox, () => dead(), 10)
    await until(async () => (await inbox.stats()).dead === ids.length)
    await inbox.stop()
    const narrow = pgBossInbox(its, { queue })

    const replayed = await Promise.all(ids.map((id) => narrow.replay(id)))

    expect(new Set(replayed)).toEqual(new Set([true]))
    expect(await inbox.stats()).toMatchObject({ waiting: ids.length, dead: 0 })
  })

  it('shows pg-boss that it is alive for as long as a handler runs', async () => {
    const { inbox, queue } = await open({ heartbeatSeconds: 10 })
    const id = await put(inbox)
    const { attempts } = await work(inbox, () => new Promise(() => {}))
    await until(() => attempts.length === 1)
    const beat = async () => {
      const sql = `SELECT heartbeat_on::text AS at FROM ${schema}.job WHERE name = $1`
      return (await admin.query(sql, [queue])).rows[0].at
    }

    const first = await beat()
    await until(async () => (await beat()) !== first)
    await supervise(queue)

    expect(await inbox.entry(id)).toMatchObject({ state: 'running', attempts: 1 })
  })
})
