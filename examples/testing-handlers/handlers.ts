import { type krosai, PermanentFailure, type RoutingTable } from 'ringhook'
import type { Crm, Customer } from './crm.ts'

const callBackWithinMs = 60 * 60_000

/** The handlers of the support team: they get the CRM handed in, so that tests can hand in another. */
export function crmHandlers(crm: Crm): RoutingTable<typeof krosai> {
  return {
    'call.completed': async ({ data }) => {
      const customer = await otherParty(crm, data)
      await crm.addActivity(customer.id, {
        callId: data.call_id,
        minutes: Math.ceil(data.duration / 60),
        summary: data.transcript ?? 'No transcript',
      })
    },
    'call.failed': async ({ data }, { receivedAt }) => {
      const customer = await otherParty(crm, data)
      await crm.addCallBack({
        customerId: customer.id,
        reason: data.error_message,
        dueAt: new Date(receivedAt.getTime() + callBackWithinMs),
      })
    },
  }
}

interface Parties {
  readonly direction: string
  readonly from_number: string
  readonly to_number: string
}

async function otherParty(crm: Crm, call: Parties): Promise<Customer> {
  const phone = call.direction === 'inbound' ? call.from_number : call.to_number
  const customer = await crm.customerWithPhone(phone)
  // KrosAI's next attempt would not find one either. Without the number: it may end up in a log.
  if (customer === undefined) throw new PermanentFailure('no customer has the number of this call')
  return customer
}
