import type { TestProject } from 'vitest/node'
import { type FoundServers, findServers, type ServerUrls } from './find-servers.ts'

declare module 'vitest' {
  interface ProvidedContext {
    servers: ServerUrls
  }
}

let found: FoundServers | undefined

/** Finds or starts the database servers, once for all test files. */
export async function setup(project: TestProject): Promise<void> {
  found = await findServers()
  project.provide('servers', found.urls)
}

/** Ends those that were started, and lists what was missing. */
export async function teardown(): Promise<void> {
  await found?.stop()
  for (const line of found?.missing ?? []) console.log(`did not run: ${line}`)
}
