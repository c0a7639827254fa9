import { fileURLToPath } from 'node:url'
import Database from 'better-sqlite3'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { type HoldingProxy, holdingProxy, type Point } from './holding-proxy.ts'
import { endLeases, mysqlPlace, type Place, postgresPlace, sqlitePlace } from './place.ts'
import { plainReturn } from './plain-return.ts'
import { type Instance, killInstances, SentEvent, startReceiver } from './provider.ts'

const example = fileURLToPath(new URL('../../examples/exactly-once/server.ts', import.meta.url))

/** How often each of two instances is killed (`.ci/nightly` asks for more), and how many deliveries are under way all the time. */
const killsEach = Number(process.env['RANDOM_KILLS'] ?? 4)
const senders = 6
const longestLifeMs = 300

/** Statements that make writing, marking and committing take up to 20 ms each. */
const slowPostgres = `
  create function dawdle() returns trigger language plpgsql as $$
  begin
    perform pg_sleep(random() * 0.02);
    return new;
  end $$;
  create trigger slow_write after insert on ledger for each row execute function dawdle();
  create trigger slow_mark after update on ringhook_events for each row
    when (new.state = 1) execute function dawdle();
  create constraint trigger slow_commit after insert on ledger deferrable initially deferred
    for each row execute function dawdle()`
const slowMysql = [
  'create trigger slow_write after insert on ledger for each row do sleep(rand() * 0.02)',
  `create trigger slow_mark after update on ringhook_events for each row
    do sleep(if(new.state = 1, rand() * 0.02, 0))`,
]
/** SQLite cannot sleep: it counts the rows of a join. */
const counted = `json_each('[${Array.from({ length: 100 }, () => 0)}]')`
const forever = `select count(*) from ${counted}, ${counted}, ${counted}, ${counted}, ${counted}, ${counted}`
const aWhile = `select count(*) from ${counted}, (select 1 from ${counted}, ${counted} limit abs(random()) % 10000)`
const marking = 'before update on ringhook_events when new.state = 1'
const slowSqlite = [
  `create trigger slow_write after insert on ledger begin ${aWhile}; end`,
  `create trigger slow_mark after update on ringhook_events when new.state = 1 begin ${aWhile}; end`,
]

// Processes start slowly where many start at once: that is no failure.
vi.setConfig({ testTimeout: 90_000 + 10_000 * killsEach, hookTimeout: 90_000 })
afterAll(killInstances)

describeOn('postgres', 'the program of the guide on Postgres', (url) => {
  testServer(() => postgresPlace(url), [slowPostgres])
})

describeOn('mysql', 'the program of the guide on MySQL', (url) => {
  testServer(() => mysqlPlace(url), slowMysql)
})

describe('the program of the guide on SQLite', () => {
  const scene = withSurvivor(sqlitePlace)

  it.each([
    ['in its write', 'before insert on ledger'],
    ['between its write and the mark', 'after insert on ledger'],
    ['in the mark', marking],
    ['between the mark and the commit', 'after update on ringhook_events when new.state = 1'],
  ])('bills a call once if it is killed %s', async (_, moment) => {
    const event = new SentEvent()

    const answer = await killedInSqlite(scene.place, example, event, moment, isWriting)
    const left = await linesOf(scene.place, event)

    expect(answer).toBe('no answer')
    expect(left).toBe(0)
    expect(await event.deliverUntilTaken(() => scene.survivor.url)).toEqual(['200 handled'])
    expect(await linesOf(scene.place, event)).toBe(1)
  })

  it('would bill a call twice if it left the mark to the end of its handler', async () => {
    const event = new SentEvent()

    await killedInSqlite(scene.place, plainReturn, event, marking, hasWritten)

    expect(await linesOf(scene.place, event)).toBe(1)
    expect(await event.deliverUntilTaken(() => scene.survivor.url)).toEqual(['200 handled'])
    expect(await linesOf(scene.place, event)).toBe(2)
  })

  testRandomKills(scene, slowSqlite)
})

function testServer(find: () => Promise<Place>, slow: readonly string[]): void {
  const scene = withSurvivor(find)

  it.each<[Point, number, string]>([
    ['before its write', 0, '200 handled'],
    ['after its write', 0, '200 handled'],
    ['before its commit', 0, '200 handled'],
    ['after its commit', 1, '200 duplicate'],
  ])('bills a call once if it is killed %s', async (point, written, retried) => {
    const event = new SentEvent()

    const answer = await killedAt(scene.place, example, event, point)
    const left = await linesOf(scene.place, event)

    expect(answer).toBe('no answer')
    expect(left).toBe(written)
    expect(await event.deliverUntilTaken(() => scene.survivor.url)).toEqual([retried])
    expect(await linesOf(scene.place, event)).toBe(1)
  })

  it.each<[Point, string]>([
    ['before its commit', '200 handled'],
    ['after its commit', '200 duplicate'],
  ])('bills a call once if it loses the database %s, and lives on', async (point, retried) => {
    const event = new SentEvent()
    const proxy = await proxyTo(scene.place)
    const instance = await startReceiver(example, proxy.url)

    const held = proxy.hold(point)
    const answer = event.deliver(instance.url)
    await held
    proxy.cut()

    expect(await answer).toBe('500 failed')
    // The server may not have noticed yet that nobody is there, and the event is locked until then.
    await endLeases(scene.place)
    expect(await event.deliverUntilTaken(() => instance.url)).toEqual([retried])
    expect(await linesOf(scene.place, event)).toBe(1)
    await instance.kill()
  })

  it('would bill a call twice if it left the mark to the end of its handler', async () => {
    const event = new SentEvent()

    await killedAt(scene.place, plainReturn, event, 'after its commit')

    expect(await linesOf(scene.place, event)).toBe(1)
    expect(await event.deliverUntilTaken(() => scene.survivor.url)).toEqual(['200 handled'])
    expect(await linesOf(scene.place, event)).toBe(2)
  })

  testRandomKills(scene, slow)
}

interface Scene {
  readonly place: Place
  /** An instance that is not killed. It has made the tables. */
  readonly survivor: Instance
}

/** Finds a place for the tests of a group, with an instance that takes what the killed ones left. */
function withSurvivor(find: () => Promise<Place>): Scene {
  let place: Place | undefined
  let survivor: Instance | undefined
  beforeAll(async () => {
    place = await find()
    survivor = await startReceiver(example, place.url)
  })
  afterAll(async () => {
    await survivor?.kill()
    await place?.remove()
  })
  return {
    get place() {
      return present(place)
    },
    get survivor() {
      return present(survivor)
    },
  }
}

/** Has a program killed with the event at a point of its transaction. Gives the event's answer. */
async function killedAt(place: Place, file: string, event: SentEvent, point: Point) {
  const proxy = await proxyTo(place)
  const instance = await startReceiver(file, proxy.url)
  const held = proxy.hold(point)
  const answer = event.deliver(instance.url)
  await held
  await instance.kill()
  await endLeases(place)
  return await answer
}

async function proxyTo({ url }: Place): Promise<HoldingProxy> {
  const proxy = await holdingProxy(url)
  onTestFinished(() => proxy.close())
  return proxy
}

/** The same on SQLite, where a trigger holds the program. */
async function killedInSqlite(
  place: Place,
  file: string,
  event: SentEvent,
  moment: string,
  isHeld: (place: Place, event: SentEvent) => Promise<boolean>,
) {
  const instance = await startReceiver(file, place.url)
  await place.query(`create trigger held ${moment} begin ${forever}; end`)
  const answer = event.deliver(instance.url)
  await vi.waitUntil(() => isHeld(place, event), 60_000)
  await instance.kill()
  await place.query('drop trigger held')
  await endLeases(place)
  return await answer
}

/** Whether an event is claimed and somebody holds the lock on the file: its transaction is open. */
async function isWriting({ name, query }: Place): Promise<boolean> {
  const claimed = await query('select key from ringhook_events where state = 0')
  if (claimed.length === 0) return false
  const observer = new Database(name, { timeout: 0 })
  try {
    observer.exec('begin immediate; rollback')
    return false
  } catch {
    return true
  } finally {
    observer.close()
  }
}

/** Whether the event's line is committed. */
async function hasWritten(place: Place, event: SentEvent): Promise<boolean> {
  return (await linesOf(place, event)) > 0
}

function testRandomKills(scene: Scene, slow: readonly string[]): void {
  it(`bills every call once while two instances are killed ${2 * killsEach} times`, async () => {
    const { place } = scene
    for (const statement of slow) await place.query(statement)
    const instances: (Instance | undefined)[] = [undefined, undefined]
    let areKilling = true

    async function killAgain(slot: number): Promise<void> {
      for (let kills = 0; kills < killsEach; kills++) {
        const instance = await startReceiver(example, place.url)
        instances[slot] = instance
        await new Promise((resolve) => setTimeout(resolve, Math.random() * longestLifeMs))
        instances[slot] = undefined
        await instance.kill()
        await endLeases(place)
      }
    }
    function somebody(): string | undefined {
      const living = instances.filter((instance) => instance !== undefined)
      if (!areKilling) return scene.survivor.url
      return living[Math.floor(Math.random() * living.length)]?.url
    }
    async function send() {
      const sent: { readonly id: string; readonly answers: readonly string[] }[] = []
      while (areKilling) {
        const event = new SentEvent()
        sent.push({ id: event.id, answers: await event.deliverUntilTaken(somebody) })
      }
      return sent
    }

    const sending = Promise.all(Array.from({ length: senders }, send))
    await Promise.all(instances.map((_, slot) => killAgain(slot)))
    areKilling = false
    const sent = (await sending).flat()

    const ids = new Set(sent.map(({ id }) => id))
    const lines = await place.query('select event_id from ledger')
    const billed = lines.map((line) => String(line['event_id'])).filter((id) => ids.has(id))
    expect(billed.sort()).toEqual([...ids].sort())
    expect(sent.some(({ answers }) => answers.includes('no answer'))).toBe(true)
  })
}

async function linesOf({ query }: Place, { id }: SentEvent): Promise<number> {
  return (await query(`select seconds from ledger where event_id = '${id}'`)).length
}

function present<Value>(value: Value | undefined): Value {
  if (value === undefined) throw new Error('The tests have not begun.')
  return value
}
