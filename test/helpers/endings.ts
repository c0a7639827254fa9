import type { ChildProcess } from 'node:child_process'

/**
 * Returns how a process ended: its exit code, or the signal that it died of, for which Node leaves
 * `exitCode` at `null`. `undefined` while it runs.
 */
export function endingOf({ exitCode, signalCode }: ChildProcess): string | undefined {
  if (signalCode !== null) return signalCode
  return exitCode === null ? undefined : `code ${exitCode}`
}
