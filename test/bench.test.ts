import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

describe('npm run bench -- stores', () => {
  it('measures a store to the end, and says how it compares with the same by hand', async () => {
    const program = ['--import', 'tsx', 'bench/run.ts', 'stores', 'memory', '--quick']
    const { stdout } = await promisify(execFile)(process.execPath, program)

    const lines = stdout.split('\n').filter((line) => line.includes('workers;'))
    expect(stdout).toContain('memory: compared with Map.has, Map.set')
    expect(lines.map((line) => line.split(' ')[0])).toEqual(['1', '64', '256'])
    for (const line of lines) expect(line).toMatch(/; claims\/s [1-9]\d*; ÷ \d+\.\d\d;/)
  }, 60_000)

  it('refuses a store that it does not know', async () => {
    const program = ['--import', 'tsx', 'bench/run.ts', 'stores', 'mongodb']
    await expect(promisify(execFile)(process.execPath, program)).rejects.toThrow(
      'No store is called mongodb.',
    )
  }, 60_000)
})
