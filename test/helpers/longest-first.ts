import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { BaseSequencer, type TestSpecification } from 'vitest/node'

/** The files that take longest, longest first. The others take less than 20 s each. */
const longest = [
  'chaos/chaos.test.ts',
  'chaos/inbox-chaos.test.ts',
  'bench.test.ts',
  'examples/inbox.test.ts',
  'inboxes/inbox-contract.test.ts',
  'inboxes/bullmq-faults.test.ts',
  'exactly-once/kill.test.ts',
  'examples/tour.test.ts',
  'examples/nats.test.ts',
  'examples/servers.test.ts',
].map((path) => fileURLToPath(new URL(`../${path}`, import.meta.url)))

/**
 * Starts the longest files first. Otherwise one of them would start last, and the other workers
 * would wait for it. Vitest does this from its own records, which an empty clone doesn't have.
 */
export class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const gone = longest.filter((path) => !existsSync(path))
    if (gone.length > 0) throw new Error(`test/helpers/longest-first.ts names ${gone.join(', ')}`)
    const sorted = await super.sort(files)
    const rankOf = ({ moduleId, project }: TestSpecification) => {
      const rank = longest.indexOf(moduleId)
      return [project.config.sequence.groupOrder, rank === -1 ? longest.length : rank] as const
    }
    return sorted.sort((one, other) => {
      const [group, rank] = rankOf(one)
      const [otherGroup, otherRank] = rankOf(other)
      return group - otherGroup || rank - otherRank
    })
  }
}
