import { inboxContract } from 'ringhook/conformance'
import { afterAll, describe, test } from 'vitest'
import { describeOn } from '../helpers/servers.ts'
import { bullmqSubject, pgBossSubject, type Subject, sqliteSubject } from './subjects.ts'

describe('sqliteInbox', () => contract(sqliteSubject()))
describeOn('redis', 'bullmqInbox', (url) => contract(bullmqSubject(url)))
describeOn('postgres', 'pgBossInbox', (url) => contract(pgBossSubject(url)))

function contract({ end, ...options }: Subject): void {
  afterAll(end)
  inboxContract({
    // Some start processes, which takes long on a busy machine.
    test: (name, run) => test(name, { timeout: 60_000 }, run),
    ...options,
  })
}
