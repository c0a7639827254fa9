export { ApiError } from './api/api-error.ts'
export type { ApiClientOptions, CallOptions } from './api/client-options.ts'
export type {
  KrosaiDeliveries,
  KrosaiDelivery,
  KrosaiDeliveryFilter,
  KrosaiDeliveryPage,
  KrosaiDeliverySummary,
} from './api/krosai/deliveries.ts'
export type {
  EnsuredWebhook,
  EnsureWebhookOptions,
  WebhookChange,
} from './api/krosai/ensure-webhook.ts'
export { createKrosaiApi, type KrosaiApi, type KrosaiApiOptions } from './api/krosai/krosai-api.ts'
export { reconcile } from './api/krosai/reconcile.ts'
export type {
  ReconciledDelivery,
  ReconcileOptions,
  ReconcileReport,
} from './api/krosai/reconciliation.ts'
export type { KrosaiSubscribableEvent, KrosaiSubscription } from './api/krosai/subscriptions.ts'
export type {
  KrosaiListedEvent,
  KrosaiTestResult,
  KrosaiWebhook,
  KrosaiWebhookCreate,
  KrosaiWebhooks,
  KrosaiWebhookUpdate,
} from './api/krosai/webhooks.ts'
