import { RinghookError } from '../../core/errors.ts'
import type { Claim, CompleteOptions, HeldClaim, IdempotencyStore } from '../../stores/store.ts'
import { type ManualClock, manualClock } from '../../testing/manual-clock.ts'
import { answerRequests, ChildProcess, type ProgramFile } from '../child-process.ts'
import { times } from '../times.ts'
import { lease } from './harness.ts'
import { shiftDate } from './shifted-date.ts'

/** A program that calls {@link storeProgram}, for the rules about processes. */
export interface StoreProgram extends ProgramFile {
  /** What the program needs to find the same data. Passed to its `create`. */
  readonly data?: unknown
}

/** What a {@link storeProgram} creates its store from. */
export interface StoreProgramOptions {
  /** For stores that take a clock. The contract advances it. */
  readonly clock: ManualClock
  /** The `data` of the {@link StoreProgram}. */
  readonly data: unknown
}

/** A request to a program. */
type Request =
  | {
      readonly ask: 'start'
      readonly now: number
      readonly shiftMs: number
      readonly data: unknown
    }
  | { readonly ask: 'claimAll'; readonly keys: readonly string[]; readonly owner: string }
  | { readonly ask: 'complete'; readonly claim: HeldClaim; readonly options: CompleteOptions }
  | { readonly ask: 'advance'; readonly ms: number }

/**
 * Turns this process into one that `storeContract` starts to race for keys, and kills. For the file
 * that its option `program` names.
 *
 * @throws {RinghookError} RINGHOOK_OPTION_INVALID in a process that was not forked.
 * @example
 * ```ts
 * import { memoryStore } from 'ringhook'
 * import { storeProgram } from 'ringhook/conformance'
 *
 * storeProgram(({ clock }) => memoryStore({ clock }))
 * ```
 */
export function storeProgram(
  create: (options: StoreProgramOptions) => IdempotencyStore | Promise<IdempotencyStore>,
): void {
  if (process.send === undefined) {
    throw new RinghookError(
      'RINGHOOK_OPTION_INVALID',
      'storeProgram() was called in a process that storeContract() did not start. Give the file as its option program.',
    )
  }
  const program = new Program(create)
  answerRequests((request) => program.answer(request as Request))
}

/** The store in the process that was started. */
class Program {
  readonly #create: Parameters<typeof storeProgram>[0]
  #store: IdempotencyStore | undefined
  #clock = manualClock()

  constructor(create: Parameters<typeof storeProgram>[0]) {
    this.#create = create
  }

  async answer(request: Request): Promise<unknown> {
    if (request.ask === 'start') return await this.#start(request)
    if (request.ask === 'advance') return await this.#clock.advance(request.ms)
    const store = this.#store
    if (store === undefined) throw new Error('the program was not started')
    if (request.ask === 'complete') return await store.complete(request.claim, request.options)
    const { keys, owner } = request
    const options = { owner, leaseMs: lease, fingerprint: 'f' }
    return await times(keys.length, (index) => store.claim(keys[index] ?? '', options))
  }

  async #start({ now, shiftMs, data }: Extract<Request, { readonly ask: 'start' }>): Promise<void> {
    if (shiftMs !== 0) shiftDate(shiftMs)
    this.#clock = manualClock(now)
    this.#store = await this.#create({ clock: this.#clock, data })
  }
}

/** A process that runs a {@link StoreProgram}. */
export class StoreProcess {
  readonly #child: ChildProcess

  constructor(child: ChildProcess) {
    this.#child = child
  }

  /** Starts a process whose `Date` is `shiftMs` ahead. */
  static async start(
    program: StoreProgram,
    clock: ManualClock,
    shiftMs = 0,
  ): Promise<StoreProcess> {
    const started = new StoreProcess(new ChildProcess(program))
    await started.#ask({ ask: 'start', now: clock.now(), shiftMs, data: program.data })
    return started
  }

  /** Claims keys for one owner simultaneously. */
  async claimAll(keys: readonly string[], owner: string): Promise<readonly Claim[]> {
    return (await this.#ask({ ask: 'claimAll', keys, owner })) as readonly Claim[]
  }

  async complete(claim: HeldClaim, options: CompleteOptions): Promise<unknown> {
    return await this.#ask({ ask: 'complete', claim, options })
  }

  /** Advances its injected clock. */
  async advance(ms: number): Promise<void> {
    await this.#ask({ ask: 'advance', ms })
  }

  /** Kills it and resolves once it has exited. */
  async kill(): Promise<void> {
    await this.#child.kill()
  }

  #ask(request: Request): Promise<unknown> {
    return this.#child.ask(request)
  }
}
