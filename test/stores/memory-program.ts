import { storeProgram } from '../../src/conformance.ts'
import { memoryStore } from '../../src/index.ts'

// The mistake: every process has a memory of its own.
storeProgram(({ clock }) => memoryStore({ clock }))
