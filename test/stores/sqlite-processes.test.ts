import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { describe, expect, it, onTestFinished } from 'vitest'
import { newFile, open } from './sqlite-files.ts'
import type { RaceResult } from './sqlite-racing-program.ts'

describe('sqliteStore in several processes on one file', () => {
  const keys = Array.from({ length: 500 }, (_, index) => `key-${index}`)

  it('lets one of them have each key, although they make the table and claim at the same moment', {
    timeout: 60_000,
  }, async () => {
    const file = newFile()
    const processes = await Promise.all(['a', 'b', 'c', 'd'].map((name) => ready(file, name)))

    const results = await Promise.all(processes.map((child) => race(child, ['the same', ...keys])))

    for (const key of ['the same', ...keys]) {
      const answers = results.map((result) => result[key])
      expect(answers.filter((answer) => answer === 1)).toHaveLength(1)
      expect(answers.filter((answer) => typeof answer === 'string')).toHaveLength(3)
      expect(answers).not.toContain('lost')
    }
    const counted = open(file)
      .prepare('SELECT state, fence, count(*) AS times FROM ringhook_events GROUP BY state, fence')
      .all()
    expect(counted).toEqual([{ state: 1, fence: 1, times: keys.length + 1 }])
  })

  async function ready(file: string, owner: string): Promise<ChildProcess> {
    const program = new URL('./sqlite-racing-program.ts', import.meta.url)
    const child = fork(program, [file, owner], { execArgv: ['--import', 'tsx'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    await messageOf(child)
    return child
  }

  async function race(child: ChildProcess, claimed: readonly string[]): Promise<RaceResult> {
    const result = messageOf(child)
    child.send(claimed)
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
