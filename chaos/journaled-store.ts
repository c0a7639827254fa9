import type { HeldClaim, IdempotencyStore } from '../src/stores/store.ts'
import type { AnsweredLine, AskedLine, Journal } from './journal.ts'

/** What the lines about a worker's calls say of it. */
export interface Caller {
  readonly worker: string
  /** The delivery that the call is made for, if any. */
  delivery(): string | undefined
}

/** Puts a line into the journal before and after every call of a store. */
export function journaled(
  store: IdempotencyStore,
  journal: Journal,
  caller: Caller,
): IdempotencyStore {
  let calls = 0

  async function call<Answer>(
    asked: Omit<AskedLine, 'kind' | 'call' | 'worker' | 'delivery'>,
    ask: () => Promise<Answer> | Answer,
    explain: (answer: Answer) => Omit<AnsweredLine, 'kind' | 'call'>,
  ): Promise<Answer> {
    const id = `${caller.worker}#${calls++}`
    const delivery = caller.delivery()
    const { worker } = caller
    const line: AskedLine = { kind: 'asked', call: id, worker, ...asked }
    await journal.append(delivery === undefined ? line : { ...line, delivery })
    let answer: Answer
    try {
      answer = await ask()
    } catch (error) {
      const code = String((error as { readonly code?: unknown } | null)?.code)
      await journal.append({ kind: 'answered', call: id, result: 'failed', code })
      throw error
    }
    await journal.append({ kind: 'answered', call: id, ...explain(answer) })
    return answer
  }

  return {
    claim(key, options) {
      const { owner, leaseMs } = options
      return call(
        { op: 'claim', key, owner, leaseMs },
        () => store.claim(key, options),
        (claim) => {
          switch (claim.state) {
            case 'claimed':
              return { result: 'claimed', fence: claim.fence }
            case 'in_flight':
              return { result: 'in_flight', leftMs: claim.retryAfterMs }
            case 'completed':
              return { result: 'completed' }
          }
        },
      )
    },
    extend: (claim, options) =>
      call(
        { op: 'extend', ...identity(claim), leaseMs: options.leaseMs },
        () => store.extend(claim, options),
        yesOrNo,
      ),
    complete: (claim, options) =>
      call({ op: 'complete', ...identity(claim) }, () => store.complete(claim, options), yesOrNo),
    release: (claim) =>
      call({ op: 'release', ...identity(claim) }, () => store.release(claim), yesOrNo),
    forget: (key) => store.forget(key),
    status: (key) => store.status(key),
  }
}

function identity({ key, owner, fence }: HeldClaim): Pick<AskedLine, 'key' | 'owner' | 'fence'> {
  return { key, owner, fence }
}

function yesOrNo(isAccepted: boolean): Pick<AnsweredLine, 'result'> {
  return { result: isAccepted ? 'yes' : 'no' }
}
