import { memoryStore } from '../../src/index.ts'
import { storeProgram } from '../../src/testing.ts'

// The mistake: every process has a memory of its own.
storeProgram(({ clock }) => memoryStore({ clock }))
