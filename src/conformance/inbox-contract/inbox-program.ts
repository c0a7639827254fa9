import { RinghookError } from '../../core/errors.ts'
import type { AttemptResult, Inbox, StoredDelivery } from '../../inboxes/inbox.ts'
import { answerRequests, ChildProcess, type ProgramFile } from '../child-process.ts'

/** A program that calls {@link inboxProgram}, for the rules about processes. */
export interface InboxProgram extends ProgramFile {
  /** What the program needs to find the same data. Passed to its `create`. */
  readonly data?: unknown
}

/** What an {@link inboxProgram} creates its inbox from. */
export interface InboxProgramOptions {
  /** The `data` of the {@link InboxProgram}. */
  readonly data: unknown
}

/** What a process ran: which delivery, and which attempt it was. */
export interface ProgramRun {
  readonly id: string
  readonly number: number
}

type Request =
  | { readonly ask: 'start'; readonly data: unknown }
  | { readonly ask: 'put'; readonly delivery: StoredDelivery }
  | { readonly ask: 'work'; readonly concurrency: number; readonly how: 'finish' | 'hang' }
  | { readonly ask: 'runs' }

/**
 * Turns this process into one that `inboxContract` starts to share work, and kills. For the file
 * that its option `program` names.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID in a process that was not forked.
 */
export function inboxProgram(
  create: (options: InboxProgramOptions) => Inbox | Promise<Inbox>,
): void {
  if (process.send === undefined) {
    throw new RinghookError(
      'RINGHOOK_OPTION_INVALID',
      'inboxProgram() was called in a process that inboxContract() did not start. Give the file as its option program.',
    )
  }
  const program = new Program(create)
  answerRequests((request) => program.answer(request as Request))
}

/** The inbox in the process that was started. */
class Program {
  readonly #create: Parameters<typeof inboxProgram>[0]
  readonly #runs: ProgramRun[] = []
  #inbox: Inbox | undefined

  constructor(create: Parameters<typeof inboxProgram>[0]) {
    this.#create = create
  }

  async answer(request: Request): Promise<unknown> {
    if (request.ask === 'start') {
      this.#inbox = await this.#create({ data: request.data })
      return undefined
    }
    if (request.ask === 'runs') return this.#runs
    const inbox = this.#inbox
    if (inbox === undefined) throw new Error('the program was not started')
    const { ask } = request
    if (ask === 'put') return await inbox.put(request.delivery, { key: request.delivery.key })
    const { concurrency, how } = request
    return await inbox.start((_, { id, number }) => this.#run(how, { id, number }), {
      concurrency,
      onError() {},
    })
  }

  async #run(how: 'finish' | 'hang', run: ProgramRun): Promise<AttemptResult> {
    this.#runs.push(run)
    if (how === 'hang') await new Promise(() => {})
    return { state: 'completed' }
  }
}

/** A process that runs an {@link InboxProgram}. */
export class InboxProcess {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  static async start(program: InboxProgram): Promise<InboxProcess> {
    const started = new InboxProcess(new ChildProcess(program))
    await started.#ask({ ask: 'start', data: program.data })
    return started
  }

  async put(delivery: StoredDelivery): Promise<unknown> {
    return await this.#ask({ ask: 'put', delivery })
  }

  /** Starts its worker, which either completes everything it runs or hangs on it. */
  async work(how: 'finish' | 'hang', concurrency: number): Promise<void> {
    await this.#ask({ ask: 'work', how, concurrency })
  }

  async runs(): Promise<readonly ProgramRun[]> {
    return (await this.#ask({ ask: 'runs' })) as readonly ProgramRun[]
  }

  /** Kills it and resolves once it has exited. */
  async kill(): Promise<void> {
    await this.#child.kill()
  }

  #ask(request: Request): Promise<unknown> {
    return this.#child.ask(request)
  }
}
