import { describe, inject, it } from 'vitest'
import type { ServerName } from './find-servers.ts'

/** Describes tests that need a real server. Where there is none they are skipped, and listed at the end. */
export function describeOn(server: ServerName, name: string, run: (url: string) => void): void {
  const url = inject('servers')[server]
  describe(name, () => {
    // What stands in `run` may connect, and must not be reached without a URL.
    if (url === undefined) it.skipIf(true)(`needs ${server}`, () => {})
    else run(url)
  })
}
