import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { root } from './build.ts'

/** Starts a program that was built, as it would run in production. */
export function start(
  program: string,
  args: readonly string[],
  { flags = [], url = '' }: { readonly flags?: readonly string[]; readonly url?: string } = {},
): ChildProcess {
  return fork(program, args, {
    cwd: root,
    execArgv: ['--expose-gc', ...flags],
    // Not an argument: a command line shows the password to everybody.
    env: { ...process.env, NODE_ENV: 'production', RINGHOOK_BENCH_URL: url },
  })
}

/** Gives the next message of a process. Throws when it ends without one. */
export async function messageOf<Message>(child: ChildProcess, name: string): Promise<Message> {
  const listening = new AbortController()
  const { signal } = listening
  try {
    const ended = once(child, 'exit', { signal }).then(([code, by]) => {
      throw new Error(`The benchmark of ${name} ended with ${by ?? code}, without figures.`)
    })
    const [message] = (await Promise.race([once(child, 'message', { signal }), ended])) as [Message]
    return message
  } finally {
    listening.abort()
  }
}

/** How a server is asked: for its figures when its garbage is gone, or as they are. */
export type Question = 'collected' | 'as it is'

/** Asks a server for its figures. */
export function ask<Figures>(
  server: ChildProcess,
  name: string,
  question: Question = 'as it is',
): Promise<Figures> {
  const answer = messageOf<Figures>(server, name)
  server.send(question)
  return answer
}

/** Starts what measures a subject in a process of its own, and gives its figures. */
export function figuresOf<Figures>(
  program: string,
  task: { readonly subject: string },
  options: Parameters<typeof start>[2] = {},
): Promise<Figures> {
  return messageOf<Figures>(start(program, [JSON.stringify(task)], options), task.subject)
}
