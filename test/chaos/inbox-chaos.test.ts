import { readdir } from 'node:fs/promises'
import { describe, it } from 'vitest'
import { inboxBackendOf } from '../../chaos/inboxes/backend.ts'
import { installed } from '../../chaos/inboxes/faults.ts'
import { type InboxName, inboxMutants } from '../../chaos/inboxes/settings.ts'
import { type Ended, startChaos } from './chaos-program.ts'
import { expectNoProcesses, folderOfItsOwn, processesOn } from './remaining-processes.ts'

/** On a machine under load a run takes minutes; that is no failure. */
const timeout = 600_000

describe('npm run chaos --inbox', async () => {
  describe('sqlite', () => {
    proves('sqlite')
    catchesMutants()
  })
  for (const inbox of ['bullmq', 'pg-boss'] as const) {
    const { server } = await inboxBackendOf(inbox)
    const isThere = server !== undefined && installed(server) !== undefined
    if (!isThere && process.env['CI'] === 'true') {
      throw new Error(`With CI=true ${server?.programs} must be installed.`)
    }
    const name = isThere ? inbox : `${inbox} (${server?.programs} not installed)`
    describe.skipIf(!isThere)(name, () => {
      proves(inbox)
      leavesNothing(inbox)
    })
  }
})

function proves(inbox: InboxName): void {
  it.concurrent('finds every invariant kept while each fault strikes', {
    timeout,
  }, async (test) => {
    const folder = await folderOfItsOwn(test)
    const chaos = await startChaos(test, ['--inbox', inbox, '--round'], { TMPDIR: folder })
    const ended = await chaos.ended

    // What was violated, and the lines of the journal that show it.
    test.expect(ended, ended.stdout).toMatchObject({ code: 0, stderr: '' })
    test.expect(ended.stdout).toContain(`${inbox} inbox: every invariant held`)
    // A proof in which nothing happened would prove nothing.
    const faults = inbox === 'sqlite' ? [/lock (\d+)/] : [/crash (\d+)/, /refuse (\d+)/]
    const done = [/(\d+) kills/, /(\d+) stops/, /takeovers +(\d+)/, /(\d+) late calls/]
    const ends = [/calm .*dead (\d+)/, /completed (\d+)/, /replay +(\d+)/, /retry (\d+)/]
    for (const pattern of [...done, ...ends, ...faults]) {
      test.expect(figure(ended, pattern), `${pattern}\n${ended.stdout}`).toBeGreaterThan(0)
    }
    // The server of the run is gone too, with its files. The compiler's cache may stay.
    const left = (await readdir(folder)).filter((name) => name.startsWith('ringhook'))
    test.expect(left).toEqual([])
  })
}

function leavesNothing(inbox: InboxName): void {
  it.concurrent('leaves no process and no server behind when it is killed itself', {
    timeout,
  }, async (test) => {
    const folder = await folderOfItsOwn(test)
    const chaos = await startChaos(test, ['--inbox', inbox], { TMPDIR: folder })
    await chaos.printed('drill …')
    test.expect(processesOn(folder)).not.toEqual([])
    chaos.kill('SIGKILL')

    await chaos.ended
    await expectNoProcesses(folder)
  })
}

function catchesMutants(): void {
  for (const mutant of inboxMutants) {
    it.concurrent(`catches a planted fault: ${mutant}`, { timeout }, async (test) => {
      // With this seed some calls begin at the endpoint where `ack` strikes.
      const plan = ['--seconds', '1', '--seed', '1']
      const args = ['--inbox', 'sqlite', '--mutant', mutant, ...plan]
      const chaos = await startChaos(test, args)
      const ended = await chaos.ended

      test.expect(ended).toMatchObject({ code: 1, stderr: '' })
      test.expect(ended.stdout).toContain(`violated: ${brokenBy[mutant]}`)
      // With the lines of the journal that show it.
      test.expect(ended.stdout).toMatch(/^ +\d+ {2}\d+\.\d {2}\{"kind":"/m)
    })
  }
}

const brokenBy = {
  ack: 'what was answered 2xx ends as finished or as a dead letter',
  forget: 'what was answered 2xx ends as finished or as a dead letter',
  count: 'an event has its attempts, no more and no fewer',
  order: 'the events of a call begin one after another',
} as const

function figure({ stdout }: Ended, pattern: RegExp): number {
  return Number(pattern.exec(stdout)?.[1])
}
