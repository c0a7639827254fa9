import { z } from 'zod'
import { isRecord } from '../../core/checks.ts'
import type { EventDefinitions } from '../provider.ts'
import { freeForm, holdsObjects, open, undocumented } from '../schema.ts'
import { krosaiSamples } from './samples.ts'

/** What changed, by the name of the field. */
export type KrosaiChanges = Readonly<
  Record<string, { readonly old?: unknown; readonly new?: unknown }>
>

/**
 * KrosAI's 20 events under their canonical names. Its three pages name 25: `aliases` are the
 * names under which the Overview and the Webhooks API describe the same event.
 *
 * Identifiers and fields of every sample are required. The pages list no values for `direction`,
 * `hangup_cause`, `status`, `error_code`, `type` and the like, so these are any string.
 *
 * Source: KrosAI, Events (18 names, with samples), Overview and Webhooks API (the other 7).
 */
export const krosaiEvents = {
  /** A call is initiated, inbound or outbound. */
  'call.initiated': {
    schema: open(() => ({
      call_id: z.string(),
      direction: z.string(),
      /** As in `+14155551234`. */
      from_number: z.string(),
      /** As in `+14155551234`. */
      to_number: z.string(),
      phone_number_id: z.string(),
      endpoint_id: z.string(),
    })),
    samples: krosaiSamples['call.initiated'],
  },
  /** The destination is ringing. */
  'call.ringing': {
    schema: open(() => ({ call_id: z.string() })),
    samples: krosaiSamples['call.ringing'],
  },
  /** "Call connected" (Overview). No page says that it is `call.answered`, or what data it has. */
  'call.started': { schema: undocumented },
  /** The call is answered. */
  'call.answered': {
    schema: open(() => ({
      call_id: z.string(),
      /** As in `2025-01-10T12:00:05Z`. */
      answered_at: z.string(),
    })),
    samples: krosaiSamples['call.answered'],
  },
  /** A call ended normally. Optional are the fields that only one of the two samples has. */
  'call.completed': {
    schema: open(() => ({
      call_id: z.string(),
      direction: z.string(),
      /** As in `+14155551234`. */
      from_number: z.string(),
      /** As in `+14155551234`. */
      to_number: z.string(),
      /** No unit is stated. Seconds, by the samples: answered at 12:00:05, ended at 12:03:05, 180. */
      duration: z.number(),
      /** Cents; the currency is not documented. */
      cost_cents: z.number(),
      hangup_cause: z.string().nullish(),
      recording_url: z.string().nullish(),
      transcript: z.string().nullish(),
      metadata: freeForm().nullish(),
      /** Only in the sample of `call.ended`. */
      status: z.string().nullish(),
    })),
    aliases: ['call.ended'],
    samples: krosaiSamples['call.completed'],
  },
  /** A call failed to connect. */
  'call.failed': {
    schema: open(() => ({
      call_id: z.string(),
      direction: z.string(),
      /** As in `+14155551234`. */
      from_number: z.string(),
      /** As in `+14155551234`. */
      to_number: z.string(),
      error_code: z.string(),
      error_message: z.string(),
    })),
    samples: krosaiSamples['call.failed'],
  },
  /** A phone number is purchased. */
  'phone_number.purchased': {
    schema: open(() => ({
      phone_number_id: z.string(),
      /** As in `+14155551234`. */
      number: z.string(),
      /** Two letters, as in `NG`. */
      country: z.string(),
      type: z.string(),
      /** Cents; the currency is not documented. */
      monthly_cost_cents: z.number(),
    })),
    samples: krosaiSamples['phone_number.purchased'],
  },
  /** A phone number is released. */
  'phone_number.released': {
    schema: open(() => ({
      phone_number_id: z.string(),
      /** As in `+14155551234`. */
      number: z.string(),
    })),
    aliases: ['number.released'],
    samples: krosaiSamples['phone_number.released'],
  },
  /** The configuration of a phone number changed. */
  'phone_number.updated': {
    schema: open(() => ({ phone_number_id: z.string(), changes: changes() })),
    samples: krosaiSamples['phone_number.updated'],
  },
  /** No page says that it is `phone_number.purchased`, or what data it has (Webhooks API). */
  'number.provisioned': { schema: undocumented },
  /** An endpoint is created. */
  'endpoint.created': {
    schema: open(() => ({
      endpoint_id: z.string(),
      name: z.string(),
      type: z.string(),
      provider: z.string(),
    })),
    samples: krosaiSamples['endpoint.created'],
  },
  /** An endpoint changed. */
  'endpoint.updated': {
    schema: open(() => ({ endpoint_id: z.string(), changes: changes() })),
    samples: krosaiSamples['endpoint.updated'],
  },
  /** An endpoint is deleted. */
  'endpoint.deleted': {
    schema: open(() => ({ endpoint_id: z.string() })),
    samples: krosaiSamples['endpoint.deleted'],
  },
  /** The recording of a call is processed and available. */
  'recording.ready': {
    schema: open(() => ({
      call_id: z.string(),
      recording_url: z.string(),
      duration_seconds: z.number(),
      size_bytes: z.number(),
    })),
    // The pages that have these two names show no sample of them.
    aliases: ['call.recording.ready', 'call.recording.completed'],
    samples: krosaiSamples['recording.ready'],
  },
  /** The transcript of a call is processed and available. */
  'transcript.ready': {
    schema: open(() => ({
      call_id: z.string(),
      transcript: z.string(),
      word_count: z.number(),
      /** Two letters, as in `en`. */
      language: z.string(),
    })),
    // The pages that have this name show no sample of it.
    aliases: ['transcription.completed'],
    samples: krosaiSamples['transcript.ready'],
  },
  /** A request to port a number is submitted. */
  'port_request.submitted': {
    schema: open(() => ({
      port_request_id: z.string(),
      /** As in `+14155551234`. */
      phone_number: z.string(),
      current_carrier: z.string(),
    })),
    samples: krosaiSamples['port_request.submitted'],
  },
  /** A request to port a number is completed. */
  'port_request.completed': {
    schema: open(() => ({
      port_request_id: z.string(),
      phone_number_id: z.string(),
      /** As in `+14155551234`. */
      phone_number: z.string(),
    })),
    samples: krosaiSamples['port_request.completed'],
  },
  /** A request to port a number failed. */
  'port_request.failed': {
    schema: open(() => ({
      port_request_id: z.string(),
      reason: z.string(),
      /** As in `+14155551234`. */
      phone_number: z.string(),
    })),
    samples: krosaiSamples['port_request.failed'],
  },
  /** The balance of the account fell below the threshold. */
  'balance.low': {
    schema: open(() => ({
      /** Cents; the currency is not documented. */
      current_balance_cents: z.number(),
      /** Cents; the currency is not documented. */
      threshold_cents: z.number(),
    })),
    samples: krosaiSamples['balance.low'],
  },
  /** A payment is received. */
  'payment.received': {
    schema: open(() => ({
      /** Cents; the currency is not documented. */
      amount_cents: z.number(),
      payment_method: z.string(),
      /** Cents; the currency is not documented. */
      new_balance_cents: z.number(),
    })),
    samples: krosaiSamples['payment.received'],
  },
} as const satisfies EventDefinitions

function changes(): z.ZodType<KrosaiChanges> {
  return z.custom<KrosaiChanges>(
    (value) => isRecord(value) && holdsObjects(value),
    'expected an object of { old, new } objects',
  )
}
