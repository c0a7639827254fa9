import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { cpus, release, type } from 'node:os'
import type { Machine } from './report.ts'

const packages = ['express', 'fastify', 'koa', 'raw-body', 'zod'] as const

/** Says what a benchmark ran on, and with which versions of what it measures. */
export function machineOf(root: string): Machine {
  return {
    node: process.version,
    processor: cpus()[0]?.model ?? 'an unknown processor',
    cores: cpus().length,
    system: `${type()} ${release()}`,
    versions: {
      ...Object.fromEntries(
        packages.map((name) => [name, versionIn(`${root}node_modules/${name}`)] as const),
      ),
      ...peerVersions(root),
    },
  }
}

/** The versions of the peers, as their package asks for them. */
export function peerVersions(root: string): Readonly<Record<string, string>> {
  const { dependencies } = JSON.parse(readFileSync(`${root}bench/peers/package.json`, 'utf8')) as {
    readonly dependencies: Readonly<Record<string, string>>
  }
  return dependencies
}

/**
 * Ties a process to one processor, so that who is measured and who measures do not share one. Says
 * whether it could: it takes Linux, `taskset` and two processors.
 */
export function tie(pid: number, core: number): boolean {
  if (process.platform !== 'linux' || cpus().length < 2 || !existsSync('/usr/bin/taskset')) {
    return false
  }
  execFileSync('/usr/bin/taskset', ['--all-tasks', '--cpu-list', '--pid', `${core}`, `${pid}`], {
    stdio: 'ignore',
  })
  return true
}

/** Gives a process all processors again. */
export function untie(pid: number): void {
  if (process.platform !== 'linux' || !existsSync('/usr/bin/taskset')) return
  const all = `0-${cpus().length - 1}`
  execFileSync('/usr/bin/taskset', ['--all-tasks', '--cpu-list', '--pid', all, `${pid}`], {
    stdio: 'ignore',
  })
}

function versionIn(folder: string): string {
  const { version } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8')) as {
    readonly version: string
  }
  return version
}
