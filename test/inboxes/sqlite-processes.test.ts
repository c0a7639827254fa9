import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it, onTestFinished } from 'vitest'
import { newFile, open } from '../stores/sqlite-files.ts'
import type { RaceResult } from './sqlite-racing-program.ts'

describe('sqliteInbox in several processes on one file', () => {
  const keys = Array.from({ length: 300 }, (_, index) => `event-${index}`)

  it('accepts each key once, although they make the table and put at the same moment', {
    timeout: 60_000,
  }, async () => {
    const file = newFile()
    const processes = await Promise.all([1, 2, 3, 4].map(() => ready(file)))

    const results = await Promise.all(processes.map((child) => race(child, keys)))

    for (const key of keys) {
      const answers = results.map((result) => result[key]).sort()
      expect(answers).toEqual(['accepted', 'duplicate', 'duplicate', 'duplicate'])
    }
    const stored = open(file).prepare('SELECT key FROM ringhook_inbox ORDER BY key').pluck().all()
    expect(stored).toEqual([...keys].sort())
  })

  async function ready(file: string): Promise<ChildProcess> {
    const program = new URL('./sqlite-racing-program.ts', import.meta.url)
    const child = fork(program, [file], { execArgv: ['--import', 'tsx'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    await messageOf(child)
    return child
  }

  async function race(child: ChildProcess, put: readonly string[]): Promise<RaceResult> {
    const result = messageOf(child)
    child.send(put)
    return (await result) as RaceResult
  }

  async function messageOf(child: ChildProcess): Promise<unknown> {
    const [message] = await Promise.race([
      once(child, 'message'),
      once(child, 'exit').then(([code, signal]) => {
        throw new Error(`the process ended with ${signal ?? code}`)
      }),
    ])
    return message
  }
})
