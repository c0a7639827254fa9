export const frameworks = ['express', 'koa', 'fastify', 'node'] as const
export type Framework = (typeof frameworks)[number]

/** A framework that reads the body and answers 200, and three that do more. */
export const subjects = ['bare', 'byHand', 'octokit', 'ringhook'] as const
export type Subject = (typeof subjects)[number]

/** What a server tells when it has started, and whenever it is asked. */
export interface ServerReport {
  readonly port: number
  /** How many calls its handler was given since it started. */
  readonly calls: number
  /** Processor time since it started, in µs. */
  readonly cpuUs: number
  /** In bytes. */
  readonly rss: number
}
