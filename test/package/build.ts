import { run } from './process.ts'

/** Builds `dist` once, before the tests of the package. */
export async function setup(): Promise<void> {
  await run('npm', ['run', 'build'])
}
