export { ApiError } from './api/api-error.ts'
export type { ApiClientOptions, CallOptions } from './api/client-options.ts'
export {
  type CreatedOdisWebhook,
  createOdisApi,
  type OdisApi,
  type OdisApiOptions,
  type OdisWebhookCreate,
} from './api/odis/odis-api.ts'
