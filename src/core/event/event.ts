import type { RequestHeaders } from '../request/http.ts'

/** An authentic, validated event, as handlers get it. */
export interface WebhookEvent<
  Type extends string = string,
  Data = unknown,
  SentAs extends string = string,
  ProviderName extends string = string,
> {
  /** The provider's id of the event, or the SHA-256 of the body where it sends none. */
  readonly id: string
  /** The canonical name, whichever spelling was sent. */
  readonly type: Type
  /** The name on the wire. */
  readonly sentAs: SentAs
  /** When the provider sent it. `undefined` for providers that document no timestamp. */
  readonly timestamp: Date | undefined
  /** What the event's schema made of the data. */
  readonly data: Data
  readonly provider: ProviderName
}

/**
 * What a handler gets beside the event. `{ ...context, db }` keeps every member. Printing the
 * context, or such a copy, shows neither the body nor the headers.
 */
export interface HandlerContext {
  /**
   * The key under which the store remembers the event: fit for an idempotency key of your own. At most
   * 64 characters of ASCII without spaces, such as `krosai~evt_1`. Upper and lower case differ.
   */
  readonly idempotencyKey: string
  /** The tenant whose secret verified the delivery, if the `secret` function named one. */
  readonly tenant: string | undefined
  /**
   * Which claim of the event this is, from 1: a claim that was given back before it ran counts too.
   * With an inbox: which attempt of the delivery since it arrived or was replayed.
   */
  readonly attempt: number
  /** Higher with every owner of the event: write it beside your data to refuse late writers. */
  readonly fence: number
  /** Aborts when the lease is lost, or when `close()` ran out of time to drain. */
  readonly signal: AbortSignal
  /**
   * When the answer must be out. The handler may go on after it, but the sender is told to come
   * again. `undefined` with an inbox: no sender waits.
   */
  readonly deadline: Date | undefined
  /** The exact bytes that were verified. */
  readonly rawBody: Uint8Array
  /** In a worker those that the inbox keeps: docs/inbox.md, "What is kept". */
  readonly headers: RequestHeaders
  readonly receivedAt: Date
  /**
   * Completes the event inside the handler's own database transaction, so that the handler's write
   * and the completion commit together. Call it last in the transaction. With a synchronous driver
   * (SQLite) it has completed the event, or thrown, when it returns.
   *
   * With an inbox in the same database the delivery's end in the inbox commits with them.
   *
   * A handler that calls it and returns while its transaction is not committed has failed:
   * RINGHOOK_TRANSACTION_NOT_COMMITTED.
   *
   * @throws {RinghookError} RINGHOOK_STORE_NOT_TRANSACTIONAL: the store cannot (memory, Redis).
   * RINGHOOK_TRANSACTION_INVALID: it isn't an open transaction of the store's database.
   * RINGHOOK_LEASE_LOST: another run took over; roll back.
   */
  complete(transaction: unknown): Promise<void>
  /**
   * Runs `work` in a database transaction that ringhook opens on the store's own client, completes
   * the event in it, and commits: the writes of `work` and the completion take effect together or not
   * at all. If `work` throws, everything is rolled back, and this rejects with the same error. If the
   * connection dies meanwhile, this rejects too, and never ends the process. With an inbox in the same
   * database the delivery's end in the inbox commits with them.
   *
   * `work` is given what the transaction is open on, and must write through it: a client of the
   * `pg` pool, a connection of the `mysql2` pool, or the SQLite database. Annotate it for the full
   * type, as in `(client: PoolClient) => …`. With SQLite, `work` must not be async.
   *
   * For one transaction per handler. Await it. For transactions that your own code or an ORM opens,
   * there is `complete`.
   *
   * @returns what `work` returned, once it is committed.
   * @throws {RinghookError} RINGHOOK_STORE_NOT_TRANSACTIONAL: the store, or its client, cannot.
   * RINGHOOK_TRANSACTION_INVALID: called twice, inside itself, or with an async function on SQLite;
   * `work` released its connection; or `work` returned work that nothing has started, such as an iterator or a function.
   * RINGHOOK_TRANSACTION_NOT_COMMITTED: a statement failed that `work` did not wait for.
   * RINGHOOK_LEASE_LOST: another run took over, and everything was rolled back. Every StoreCode.
   */
  transaction<Transaction = SqlTransaction, Result = unknown>(
    work: (transaction: Transaction) => Result | Promise<Result>,
  ): Promise<Result>
}

/** What transactions of `pg` and of `mysql2` have in common, for a `work` without annotation. */
export interface SqlTransaction {
  query(text: string, values?: unknown[]): Promise<unknown>
}

/**
 * A handler. What it returns is awaited and then dropped; of an array of promises, each one. Work that
 * has not been started, such as an iterator or a function, is a failure: RINGHOOK_HANDLER_DID_NOT_RUN.
 */
export type Handler<Event extends WebhookEvent = WebhookEvent> = (
  event: Event,
  context: HandlerContext,
) => unknown
