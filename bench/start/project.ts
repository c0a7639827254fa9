import { type ExecFileOptions, execFile } from 'node:child_process'
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { root } from '../build.ts'

/** Builds the package, packs it into a folder, and returns the file. */
export async function pack(folder: string): Promise<string> {
  await run('npm', ['run', 'build'], { cwd: root })
  const output = await run('npm', ['pack', '--json', '--pack-destination', folder], { cwd: root })
  const [{ filename }] = JSON.parse(output) as [{ readonly filename: string }]
  return join(folder, filename)
}

/** Installs packages in a project of their own. */
export async function install(project: string, wanted: readonly string[]): Promise<void> {
  await mkdir(project, { recursive: true })
  await writeFile(join(project, 'package.json'), '{"private":true,"type":"module"}')
  await writeFile(join(project, 'tsconfig.json'), '{}')
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund']
  await run('npm', ['install', ...quiet, ...wanted], { cwd: project })
}

/** Returns how many packages an installation has, from its lock file. */
export async function packagesIn(project: string): Promise<number> {
  const { packages } = JSON.parse(await readFile(join(project, 'package-lock.json'), 'utf8')) as {
    readonly packages: object
  }
  return Object.keys(packages).filter((name) => name !== '').length
}

/** Returns the size of a folder, in bytes. */
export async function sizeOf(folder: string): Promise<number> {
  let bytes = 0
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size
  }
  return bytes
}

/** Runs a program, and returns what it prints. */
export async function run(command: string, args: readonly string[], options: ExecFileOptions) {
  const { stdout } = await promisify(execFile)(command, args, { ...options, encoding: 'utf8' })
  return stdout
}
