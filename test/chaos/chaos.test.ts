import { readdir } from 'node:fs/promises'
import { describe, expect, it, onTestFinished } from 'vitest'
import { mutants } from '../../chaos/endpoint.ts'
import { readOptions } from '../../chaos/options.ts'
import { describeOn } from '../helpers/servers.ts'
import { type Ended, startChaos, startChaosFromSource } from './chaos-program.ts'
import { expectNoProcesses, folderOfItsOwn, processesOn } from './remaining-processes.ts'

/** On a machine under load a run takes minutes; that is no failure. */
const timeout = 600_000

describe('npm run chaos', () => {
  describeOn('redis', 'on redisStore', (url) => proves('redis', { REDIS_URL: url }))
  describeOn('postgres', 'on postgresStore', (url) => proves('postgres', { DATABASE_URL: url }))
  describeOn('mysql', 'on mysqlStore', (url) => proves('mysql', { MYSQL_URL: url }))
  describe('on sqliteStore', () => proves('sqlite', {}))
})

describe('npm run chaos, ended early', () => {
  it.each([
    ['Ctrl-C', 'SIGINT', 130],
    ['a request to end', 'SIGTERM', 143],
  ] as const)('leaves nothing behind after %s', { timeout }, async (_, signal, code) => {
    const folder = await folderOfItsOwn({ onTestFinished })
    const chaos = startChaosFromSource({ onTestFinished }, ['--store', 'sqlite'], {
      TMPDIR: folder,
    })
    await chaos.printed('chaos …')
    expect(processesOn(folder)).not.toEqual([])
    chaos.kill(signal)

    expect((await chaos.ended).code).toBe(code)
    // The compiler's cache may stay.
    expect((await readdir(folder)).filter((name) => name.startsWith('ringhook'))).toEqual([])
    await expectNoProcesses(folder)
  })

  it('is not waited for when it was killed before it printed', { timeout }, async () => {
    const chaos = startChaosFromSource({ onTestFinished }, ['--store', 'sqlite'])
    const printed = chaos.printed('what it never prints')
    chaos.kill('SIGKILL')

    await printed
    expect(await chaos.ended).toMatchObject({ code: null, stdout: '' })
  })

  it('leaves no process behind when it is killed itself', { timeout }, async () => {
    const folder = await folderOfItsOwn({ onTestFinished })
    const chaos = startChaosFromSource({ onTestFinished }, ['--store', 'sqlite'], {
      TMPDIR: folder,
    })
    await chaos.printed('chaos …')
    chaos.kill('SIGKILL')

    await chaos.ended
    await expectNoProcesses(folder)
  })
})

describe('npm run chaos, told what to do', () => {
  it.each([
    [['--store', 'mongo'], '--store is one of: redis, postgres, mysql, sqlite.'],
    [['--seconds', 'ten'], '--seconds is a whole number from 0.'],
    [['--mutant', 'none'], '--mutant is one of: lease, fence, release, ack, forget, count, order.'],
    [['--inbox', 'kafka'], '--inbox is one of: sqlite, bullmq, pg-boss.'],
    [['--inbox', 'sqlite', '--mutant', 'lease'], '--mutant for an inbox is one of: ack,'],
    [['--store', 'sqlite', '--mutant', 'ack'], '--mutant for a store is one of: lease,'],
    [['--inbox', 'bullmq', '--mutant', 'order'], '--mutant order needs an inbox that keeps order'],
  ])('refuses %j and says what there is', (args, message) => {
    expect(() => readOptions(args)).toThrow(message)
  })

  it('ends with 2 and prints its options if it is told something else', { timeout }, async () => {
    const chaos = startChaosFromSource({ onTestFinished }, ['--store', 'mongo'])
    const { code, stderr } = await chaos.ended

    expect(code).toBe(2)
    expect(stderr).toContain('--store is one of: redis, postgres, mysql, sqlite.')
    expect(stderr).toContain('npm run chaos -- [options]')
  })
})

function proves(store: string, env: Readonly<Record<string, string>>): void {
  it.concurrent('finds every invariant kept while each fault strikes', {
    timeout,
  }, async (test) => {
    const chaos = await startChaos(test, ['--store', store, '--round'], env)
    const ended = await chaos.ended

    // What was violated, and the lines of the journal that show it.
    test.expect(ended, ended.stdout).toMatchObject({ code: 0, stderr: '' })
    test.expect(ended.stdout).toContain(`${store}: every invariant held`)
    test.expect(ended.stdout).not.toContain('\u001b')
    // A proof in which nothing happened would prove nothing.
    const faults = store === 'sqlite' ? /lock (\d+)/ : /refuse (\d+)/
    for (const done of [/(\d+) kills/, /(\d+) stops/, /(\d+) late calls/, faults]) {
      test.expect(figure(ended, done), `${done}`).toBeGreaterThan(0)
    }
    test.expect(figure(ended, /takeovers +(\d+)/)).toBeGreaterThan(0)
    test.expect(figure(ended, /completions +(\d+)/)).toBeGreaterThan(0)
    test.expect(ended.stdout).toMatch(/restart +(\d+) repeats: duplicate \1\n/)
  })

  for (const mutant of mutants) {
    it.concurrent(`catches a planted fault: ${mutant}`, { timeout }, async (test) => {
      const args = ['--store', store, '--seconds', '1', '--mutant', mutant]
      const chaos = await startChaos(test, args, env)
      const ended = await chaos.ended

      test.expect(ended).toMatchObject({ code: 1, stderr: '' })
      test.expect(ended.stdout).toContain(`violated: ${brokenBy[mutant]}`)
      // With the lines of the journal that show it.
      test.expect(ended.stdout).toMatch(/^ +\d+ {2}\d+\.\d {2}\{"kind":"answered"/m)
    })
  }
}

const brokenBy = {
  lease: 'a lease keeps others out until it has run out',
  fence: 'a stale owner changes nothing',
  release: 'a stale owner changes nothing',
} as const

function figure({ stdout }: Ended, pattern: RegExp): number {
  return Number(pattern.exec(stdout)?.[1])
}
