import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'

describe('npm run bench -- pipeline', () => {
  const program = ['--import', 'tsx', 'bench/run.ts', 'pipeline', '--quick']

  // It installs what it measures ringhook beside.
  it('measures ringhook beside its floor and its peers, body by body', async () => {
    const { stdout } = await promisify(execFile)(process.execPath, [...program, '--json'])

    const { peers, sizes, machine } = JSON.parse(stdout.split('\n').at(-2) ?? '')
    expect(machine.node).toBe(process.version)
    expect(sizes.map(({ bytes }: { readonly bytes: number }) => bytes)).toEqual([430, 65_536])
    for (const { rows } of sizes) {
      const names = rows.map(({ name }: { readonly name: string }) => name)
      expect(names.slice(0, 3)).toEqual(['floor', 'by hand', 'ringhook, handled'])
      expect(names).toEqual(expect.arrayContaining(Object.keys(peers)))
      for (const { us, cpuUs } of rows) {
        expect([us.length, cpuUs.length]).toEqual([3, 3])
        expect(Math.min(...us)).toBeGreaterThan(0)
      }
    }
  }, 180_000)

  it('ends where an answer is wrong', async () => {
    const wrong = promisify(execFile)(process.execPath, [...program, '--wrong'])
    await expect(wrong).rejects.toThrow(/0 of 200 were taken as they should be/)
  }, 180_000)
})

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

describe('npm run bench -- inbox', () => {
  it('measures an inbox to the end, over the bare commit of its engine', async () => {
    const program = ['--import', 'tsx', 'bench/run.ts', 'inbox', 'sqlite', '--quick']
    const { stdout } = await promisify(execFile)(process.execPath, program)

    const lines = stdout.split('\n').filter((line) => line.includes('workers;'))
    expect(stdout).toContain('sqlite: compared with one INSERT per transaction')
    expect(lines.map((line) => line.split(' ')[0])).toEqual(['1', '64'])
    for (const line of lines) expect(line).toMatch(/; acks\/s [1-9]\d*; cost \d+\.\d\d;/)
    expect(stdout).toMatch(/from arrival to the end of the handler, 64 at a time: [1-9]/)
    expect(stdout).toMatch(/1000 waiting deliveries: worked off in .* heap \d/)
  }, 120_000)

  it('refuses an inbox that it does not know', async () => {
    const program = ['--import', 'tsx', 'bench/run.ts', 'inbox', 'kafka']
    await expect(promisify(execFile)(process.execPath, program)).rejects.toThrow(
      'No inbox is called kafka.',
    )
  }, 60_000)
})
