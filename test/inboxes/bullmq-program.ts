import { inboxProgram } from '../../src/conformance.ts'
import { openInbox, type Place } from './bullmq-queues.ts'

inboxProgram(
  ({ data }) => openInbox(data as Place, { stalledInterval: 50, lockDuration: 500 }).inbox,
)
