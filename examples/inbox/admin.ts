import type { InboxAdmin } from 'ringhook'
import { runProgram, UsageError } from '../shared/program.ts'
import { openReceiver } from './receiver.ts'

const usage = `Usage: npx tsx examples/inbox/admin.ts <command>

  list              the dead letters
  replay <id|all>   runs one of them again, or all
  discard <id>      removes a delivery that does not run
  stats             how many there are`

/** Does what the command says, and gives what to print. */
export async function administer(inbox: InboxAdmin, args: readonly string[]): Promise<string> {
  const [command, id] = args
  switch (command) {
    case 'list': {
      const letters = await inbox.list({ state: 'dead' })
      if (letters.length === 0) return 'No dead letters'
      return letters
        .map((letter) => {
          const { attempts, type, eventId, failure } = letter
          const why = `${failure?.code}: ${failure?.reason}`
          return `${letter.id}\n  ${type} ${eventId}, dead after attempt ${attempts}\n  ${why}`
        })
        .join('\n')
    }
    case 'replay':
      if (id === undefined) break
      return `Replayed: ${await inbox.replay(id === 'all' ? {} : id)}`
    case 'discard':
      if (id === undefined) break
      return (await inbox.discard(id)) ? 'Discarded' : 'There is none with this id, or it runs now'
    case 'stats':
      return JSON.stringify(await inbox.stats())
  }
  throw new UsageError(usage)
}

await runProgram(import.meta.url, async () => {
  const { receiver, close } = await openReceiver()
  try {
    console.log(await administer(receiver.inbox, process.argv.slice(2)))
  } finally {
    await close()
  }
})
