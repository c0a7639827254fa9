/* Written by `npm run documents` from test/vectors/krosai-deliveries-openapi.json. Do not edit. */

export interface paths {
    readonly "/webhook-deliveries": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** Paginated delivery history */
        readonly get: operations["listDeliveries"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/webhook-deliveries/{id}": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        /** One delivery in full, including payload and response */
        readonly get: operations["getDelivery"];
        readonly put?: never;
        readonly post?: never;
        readonly delete?: never;
        readonly options?: never;
        readonly head?: never;
        readonly patch?: never;
        readonly trace?: never;
    };
    readonly "/webhook-deliveries/{id}/retry": {
        readonly parameters: {
            readonly query?: never;
            readonly header?: never;
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly get?: never;
        readonly put?: never;
        /** Retries a failed delivery by hand */
        readonly post: operations["retryDelivery"];
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
        readonly WebhookDelivery: {
            /** Format: uuid */
            readonly id?: string;
            /** Format: uuid */
            readonly webhook_id?: string;
            readonly event_type?: string;
            readonly status?: string;
        } & {
            readonly [key: string]: unknown;
        };
        readonly WebhookDeliveryPage: {
            readonly data?: readonly components["schemas"]["WebhookDelivery"][];
            readonly total?: number;
            readonly page?: number;
            readonly limit?: number;
            readonly total_pages?: number;
            readonly summary?: {
                readonly total?: number;
                readonly delivered?: number;
                readonly failed?: number;
                readonly pending?: number;
                readonly success_rate?: number;
            };
        };
    };
    responses: never;
    parameters: {
        readonly OrganizationId: string;
        readonly DeliveryId: string;
    };
    requestBodies: never;
    headers: never;
    pathItems: never;
}
export type $defs = Record<string, never>;
export interface operations {
    readonly listDeliveries: {
        readonly parameters: {
            readonly query?: {
                readonly page?: number;
                readonly limit?: number;
                readonly webhook_id?: string;
                /** @description One of a set of values that the page does not show */
                readonly status?: string;
            };
            readonly header?: {
                readonly "x-organization-id"?: components["parameters"]["OrganizationId"];
            };
            readonly path?: never;
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description A page of deliveries */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["WebhookDeliveryPage"];
                };
            };
        };
    };
    readonly getDelivery: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                readonly "x-organization-id"?: components["parameters"]["OrganizationId"];
            };
            readonly path: {
                readonly id: components["parameters"]["DeliveryId"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description The delivery */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": components["schemas"]["WebhookDelivery"];
                };
            };
        };
    };
    readonly retryDelivery: {
        readonly parameters: {
            readonly query?: never;
            readonly header?: {
                readonly "x-organization-id"?: components["parameters"]["OrganizationId"];
            };
            readonly path: {
                readonly id: components["parameters"]["DeliveryId"];
            };
            readonly cookie?: never;
        };
        readonly requestBody?: never;
        readonly responses: {
            /** @description Not documented */
            readonly 200: {
                headers: {
                    readonly [name: string]: unknown;
                };
                content: {
                    readonly "application/json": unknown;
                };
            };
        };
    };
}
