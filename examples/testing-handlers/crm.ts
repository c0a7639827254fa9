/** A customer, as far as calls are concerned. */
export interface Customer {
  readonly id: string
  readonly name: string
  readonly phone: string
}

/** A call on a customer's page. */
export interface Activity {
  readonly callId: string
  readonly minutes: number
  readonly summary: string
}

/** Somebody is to call back. */
export interface CallBack {
  readonly customerId: string
  readonly reason: string
  readonly dueAt: Date
}

/** What the handlers need of the CRM. The real one is a client of its HTTP API. */
export interface Crm {
  customerWithPhone(phone: string): Promise<Customer | undefined>
  addActivity(customerId: string, activity: Activity): Promise<void>
  addCallBack(callBack: CallBack): Promise<void>
}

/** A CRM in memory: for the tests, and to try the handlers out. */
export class MemoryCrm implements Crm {
  readonly activities: (Activity & { readonly customerId: string })[] = []
  readonly callBacks: CallBack[] = []
  readonly #customers: readonly Customer[]

  constructor(customers: readonly Customer[]) {
    this.#customers = customers
  }

  async customerWithPhone(phone: string): Promise<Customer | undefined> {
    return this.#customers.find((customer) => customer.phone === phone)
  }

  async addActivity(customerId: string, activity: Activity): Promise<void> {
    this.activities.push({ customerId, ...activity })
  }

  async addCallBack(callBack: CallBack): Promise<void> {
    this.callBacks.push(callBack)
  }
}
