import { RinghookError } from '../errors.ts'

/**
 * Why a handler must not go on: its store says that the claim is gone.
 *
 * @param hadLease - Whether the lease had still to run: then nobody can have taken over from a store
 * that remembers, and it has forgotten the claim. Absent where that is not known.
 */
export function claimLost(hadLease?: boolean): RinghookError {
  return leaseLost(`${hadLease === true ? forgotten : unsure} ${forgetting}`)
}

/** Why an event couldn't be completed: another run has it, or had it. */
export function takenOver(hadLease: boolean): RinghookError {
  return leaseLost(hadLease ? `${takenFromForgetful} ${forgetting}` : taken)
}

/** Why a handler must not go on: another run may have the event by now. */
export function leaseRanOut(): RinghookError {
  return leaseLost(
    'The lease ran out, because the store could not be reached to renew it, and another run may take over. Stop if running twice would do harm.',
  )
}

const taken =
  'Another run of this event has taken over, because the lease ran out. Roll back and stop; raise leaseMs if the event loop is blocked for long.'
const takenFromForgetful =
  'Another run of this event has taken over although the lease had not run out: the store had forgotten the claim.'
const forgotten =
  'The store has forgotten the claim of this run, although its lease has not run out, so another run may begin. Roll back and stop.'
const unsure =
  'This run has lost its event. Either the lease ran out and another run has taken over: raise leaseMs if the event loop is blocked for long. Or the store has forgotten the claim. Roll back and stop.'
const forgetting =
  'A store forgets in a failover to a replica that was behind, in a restart without persistence, when it is flushed, and when its memory is full.'

function leaseLost(message: string): RinghookError {
  return new RinghookError('RINGHOOK_LEASE_LOST', message)
}
