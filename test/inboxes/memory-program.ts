import { inboxProgram } from '../../src/testing.ts'
import { MemoryInbox } from './memory-inbox.ts'

inboxProgram(() => new MemoryInbox())
