import { fork } from 'node:child_process'
import { once } from 'node:events'

/** Starts what measures a subject in a process of its own, and gives its figures. */
export async function figuresOf<Figures>(
  program: string,
  task: { readonly subject: string },
  url: string,
): Promise<Figures> {
  const child = fork(program, [JSON.stringify(task)], {
    execArgv: ['--expose-gc'],
    // Not an argument: a command line shows the password to everybody.
    env: { ...process.env, NODE_ENV: 'production', RINGHOOK_BENCH_URL: url },
  })
  const [figures] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => {
      throw new Error(`The benchmark of ${task.subject} ended without figures.`)
    }),
  ])) as [Figures]
  return figures
}
