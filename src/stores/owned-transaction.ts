import { RinghookError } from '../core/errors.ts'

/** What runs in a transaction. It receives the connection that the transaction is open on. */
export type Work<Result> = (transaction: unknown) => Result | Promise<Result>

/** A connection of a pool, which its pool wants back. */
export interface LentConnection {
  release(...how: unknown[]): void
}

/** How one driver opens and ends a transaction on a connection of its pool. */
export interface TransactionDriver<Connection extends LentConnection> {
  begin(): Promise<Connection>
  commit(connection: Connection): Promise<void>
  /** Returns whether the connection can be used again. It may be gone: closing it rolls back too. */
  rollBack(connection: Connection): Promise<boolean>
  /** Returns the connection to its pool, or closes it if it can't be used again. */
  giveBack(connection: Connection, isFit: boolean): void
}

/**
 * Runs work in a transaction of the store's own: commits what it did, or rolls back and throws what
 * it threw.
 *
 * @throws {RinghookError} every StoreCode; RINGHOOK_TRANSACTION_INVALID if the work releases the
 * connection, which other requests would then share
 */
export async function transact<Connection extends LentConnection, Result>(
  driver: TransactionDriver<Connection>,
  work: Work<Result>,
): Promise<Result> {
  const connection = await driver.begin()
  const hold = holdOn(connection)
  let isFit = false
  try {
    const result = await work(connection)
    if (hold.isReleased()) throw releasedEarly()
    await driver.commit(connection)
    isFit = true
    return result
  } catch (error) {
    isFit = await driver.rollBack(connection)
    throw error
  } finally {
    hold.end()
    driver.giveBack(connection, isFit)
  }
}

/** Keeps a connection out of its pool, and notices if someone releases it meanwhile. */
function holdOn(connection: LentConnection) {
  const release = Object.getOwnPropertyDescriptor(connection, 'release')
  let isReleased = false
  connection.release = () => {
    isReleased = true
    throw releasedEarly()
  }
  return {
    isReleased: () => isReleased,
    end() {
      if (release !== undefined) Object.defineProperty(connection, 'release', release)
      else Reflect.deleteProperty(connection, 'release')
    },
  }
}

function releasedEarly(): RinghookError {
  return new RinghookError(
    'RINGHOOK_TRANSACTION_INVALID',
    'The function that context.transaction() was given released its connection before the commit. Leave out release(): the store returns the connection to its pool after the transaction.',
  )
}
