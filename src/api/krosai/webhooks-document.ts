/* Written by `npm run documents` from test/vectors/krosai-openapi.json. Do not edit. */

export interface paths {
    readonly "/webhooks": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** List webhooks */
        readonly get: operations["listWebhooks"];
        readonly put?: never;
        /**
         * Create webhook
         * @description Creates a new webhook subscription. A signing secret is auto-generated
         *     for payload verification.
         */
        readonly post: operations["createWebhook"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/webhooks/{id}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Get webhook details */
        readonly get: operations["getWebhook"];
        readonly put?: never;
        readonly post?: never;
        /** Delete webhook */
        readonly delete: operations["deleteWebhook"];
        readonly options?: never;
        readonly head?: never;
        /** Update webhook */
        readonly patch: operations["updateWebhook"];
        readonly trace?: never;
    };
    readonly "/webhooks/{id}/test": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /**
         * Test webhook
         * @description Sends a test payload to the webhook endpoint
         */
        readonly post: operations["testWebhook"];
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
}
export type webhooks = Record<string, never>;
export interface components {
    schemas: {
        readonly Webhook: {
            /** Format: uuid */
            readonly id?: string;
            /** Format: uri */
            readonly url?: string;
            /** @description HMAC signing secret for payload verification */
            readonly secret?: string;
            readonly events?: readonly components["schemas"]["WebhookEvent"][];
            readonly active?: boolean;
            /** Format: uuid */
            readonly organization_id?: string;
            /** Format: date-time */
            readonly created_at?: string;
            /** Format: date-time */
            readonly updated_at?: string;
        };
        /** @enum {string} */
        readonly WebhookEvent: "call.started" | "call.completed" | "call.failed" | "call.recording.ready" | "transcription.completed" | "number.provisioned" | "number.released";
        readonly Error: {
            /** @description Human-readable error message */
            readonly error: string;
            /** @description Machine-readable error code */
            readonly code?: string;
            /** @description Additional error details */
            readonly details?: {
                readonly [key: string]: unknown;
            };
        };
        readonly WebhookCreate: {
            /** Format: uri */
            readonly url: string;
            readonly events: readonly components["schemas"]["WebhookEvent"][];
            /** @default true */
            readonly active?: boolean;
        };
        readonly WebhookTestResult: {
            readonly success?: boolean;
            readonly status_code?: number | null;
            readonly message?: string;
        };
    };
    responses: {
        /** @description Unauthorized - Invalid or missing API key */
        readonly Unauthorized: {
            headers: {
                readonly [name: string]: unknown;
            };
            content: {
                readonly "application/json": components["schemas"]["Error"];
            };
        };
        /** @description Bad request - Invalid parameters or request body */
        readonly BadRequest: {
            headers: {
                readonly [name: string]: unknown;
            };
            content: {
                readonly "application/json": components["schemas"]["Error"];
            };
        };
        /** @description Resource not found */
        readonly NotFound: {
            headers: {
                readonly [name: string]: unknown;
            };
            content: {
                readonly "application/json": components["schemas"]["Error"];
            };
        };
    };
    parameters: {
        /** @description Organization UUID for multi-tenant context. Falls back to user's first organization if not provided. */
        readonly OrganizationId: string;
        /** @description Webhook UUID */
        readonly WebhookId: string;
    };
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    readonly listWebhooks: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Organization UUID for multi-tenant context. Falls back to user's first organization if not provided. */
                readonly "x-organization-id"?: components["parameters"]["OrganizationId"];
            };
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description List of webhooks */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": readonly components["schemas"]["Webhook"][];
                };
            };
            readonly 401: components["responses"]["Unauthorized"];
        };
    };
    readonly createWebhook: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Organization UUID for multi-tenant context. Falls back to user's first organization if not provided. */
                readonly "x-organization-id"?: components["parameters"]["OrganizationId"];
            };
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody: {
            readonly content: {
                readonly "application/json": components["schemas"]["WebhookCreate"];
            };
        };
        readonly responses: {
            /** @description Webhook created */
            readonly 201: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Webhook"];
                };
            };
            readonly 400: components["responses"]["BadRequest"];
            readonly 401: components["responses"]["Unauthorized"];
        };
    };
    readonly getWebhook: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Organization UUID for multi-tenant context. Falls back to user's first organization if not provided. */
                readonly "x-organization-id"?: components["parameters"]["OrganizationId"];
            };
            readonly path: {
                /** @description Webhook UUID */
                readonly id: components["parameters"]["WebhookId"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Webhook details */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Webhook"];
                };
            };
            readonly 404: components["responses"]["NotFound"];
        };
    };
    readonly deleteWebhook: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Organization UUID for multi-tenant context. Falls back to user's first organization if not provided. */
                readonly "x-organization-id"?: components["parameters"]["OrganizationId"];
            };
            readonly path: {
                /** @description Webhook UUID */
                readonly id: components["parameters"]["WebhookId"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Webhook deleted */
            readonly 204: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content?: never;
            };
            readonly 404: components["responses"]["NotFound"];
        };
    };
    readonly updateWebhook: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Organization UUID for multi-tenant context. Falls back to user's first organization if not provided. */
                readonly "x-organization-id"?: components["parameters"]["OrganizationId"];
            };
            readonly path: {
                /** @description Webhook UUID */
                readonly id: components["parameters"]["WebhookId"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: {
            readonly content: {
                readonly "application/json": {
                    /** Format: uri */
                    readonly url?: string;
                    readonly events?: readonly components["schemas"]["WebhookEvent"][];
                    readonly active?: boolean;
                };
            };
        };
        readonly responses: {
            /** @description Webhook updated */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["Webhook"];
                };
            };
            readonly 400: components["responses"]["BadRequest"];
            readonly 404: components["responses"]["NotFound"];
        };
    };
    readonly testWebhook: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                /** @description Organization UUID for multi-tenant context. Falls back to user's first organization if not provided. */
                readonly "x-organization-id"?: components["parameters"]["OrganizationId"];
            };
            readonly path: {
                /** @description Webhook UUID */
                readonly id: components["parameters"]["WebhookId"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Test result */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["WebhookTestResult"];
                };
            };
        };
    };
}
