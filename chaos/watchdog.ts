/**
 * Ends the workers when the run itself is gone. They would see that themselves, but for those that
 * are stopped at that moment. Started by workers.ts.
 */
import { rmSync } from 'node:fs'
import { dirname } from 'node:path'
import { fileURLToPath } from 'node:url'

/** What the watchdog is told. */
export type WatchdogOrder = { readonly began: number } | { readonly ended: number }

const pids = new Set<number>()

// Ctrl-C reaches every process of the terminal. The run ends its workers then; this one waits.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})

process.on('message', (order: WatchdogOrder) => {
  if ('began' in order) pids.add(order.began)
  else pids.delete(order.ended)
})

process.on('disconnect', () => {
  for (const pid of pids) end(pid)
  // The programs were built for this run alone, this one among them. Otherwise others use them.
  if (process.argv[2] === 'owned')
    rmSync(dirname(fileURLToPath(import.meta.url)), { recursive: true, force: true })
  process.exit()
})

function end(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It has gone by itself.
  }
}
