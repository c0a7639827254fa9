import { closeOnSignals, runProgram } from '../shared/program.ts'
import { openReceiver } from './receiver.ts'

await runProgram(import.meta.url, async () => {
  const { receiver, close } = await openReceiver()
  await receiver.start({ concurrency: 10 })
  console.log('Working')
  closeOnSignals(() => close())
})
