import { closeOnSignals, readPort, runProgram } from '../shared/program.ts'
import { serveApi } from './simulated-api.ts'
import { SimulatedKrosai } from './simulated-krosai.ts'

/** For trying `server.ts` without an account: KrosAI's API on this machine. */
await runProgram(import.meta.url, async () => {
  const apiKey = process.env['KROSAI_API_KEY'] ?? 'kros_test_simulated'
  const port = readPort(process.env['PORT'], 3100)
  const { url, close } = await serveApi(new SimulatedKrosai(), { apiKey, port })
  console.log(`A simulated KrosAI answers at ${url}`)
  console.log(`KROSAI_API_URL=${url} KROSAI_API_KEY=${apiKey} npx tsx examples/subscribe/server.ts`)
  closeOnSignals(close)
})
