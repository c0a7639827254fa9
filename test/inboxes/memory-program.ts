import { inboxProgram } from '../../src/conformance.ts'
import { MemoryInbox } from './memory-inbox.ts'

inboxProgram(() => new MemoryInbox())
