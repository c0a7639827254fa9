import { execFileSync } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { expect, type TestContext } from 'vitest'

/** A folder for what a run leaves behind, until the test is over. */
export async function folderOfItsOwn({
  onTestFinished,
}: Pick<TestContext, 'onTestFinished'>): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'ringhook-chaos-test-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  // For a PostgreSQL that runs as somebody else, because it refuses to be root.
  await chmod(folder, 0o755)
  return folder
}

/** The processes that keep their files below a folder: it is in their arguments. */
export function processesOn(folder: string): string[] {
  const processes = execFileSync('ps', ['-eo', 'args'], { encoding: 'utf8' }).split('\n')
  return processes.filter((line) => line.includes(folder))
}

/** Waits until they are gone. */
export async function expectNoProcesses(folder: string): Promise<void> {
  const giveUpAt = Date.now() + 60_000
  while (processesOn(folder).length > 0 && Date.now() < giveUpAt) await pause(50)
  expect(processesOn(folder)).toEqual([])
}
