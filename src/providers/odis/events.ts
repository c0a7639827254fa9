import { z } from 'zod'
import type { EventDefinitions } from '../provider.ts'
import { freeForm, list, open } from '../schema.ts'
import { odisSamples } from './samples.ts'

/**
 * ODIS AI's three events. The page lists no values for `direction`, `status`, `sentiment` and
 * `type`, so these are any string.
 *
 * Source: ODIS, Webhooks.
 */
export const odisEvents = {
  /** A call begins. */
  'call.started': {
    schema: open(() => ({
      call_id: z.string(),
      direction: z.string(),
      /** As in `+15551234567`. */
      from: z.string(),
      /** As in `+15551234567`. */
      to: z.string(),
      agent_id: z.string(),
    })),
    samples: odisSamples['call.started'],
  },
  /**
   * A call ends. What the agent made of the call is optional although the one sample has it all: an
   * invalid event is acknowledged and lost here, and a call that nobody answered has no transcript.
   */
  'call.ended': {
    schema: open(() => ({
      call_id: z.string(),
      duration_seconds: z.number(),
      status: z.string(),
      transcript: z.string().nullish(),
      summary: z.string().nullish(),
      sentiment: z.string().nullish(),
      /** What came of the call, as in `appointment_scheduled`. */
      actions: list(
        z.object({
          type: z.string(),
          /** Depends on the type, and one type is documented: others may have none. */
          details: freeForm().nullish(),
        }),
      ).nullish(),
    })),
    samples: odisSamples['call.ended'],
  },
  /** An appointment is scheduled. */
  'appointment.created': {
    schema: open(() => ({
      appointment_id: z.string(),
      call_id: z.string(),
      client_name: z.string(),
      patient_name: z.string(),
      /** As in `2024-01-20`. */
      date: z.string(),
      /** As in `14:00`; no zone is documented. */
      time: z.string(),
      type: z.string(),
    })),
    samples: odisSamples['appointment.created'],
  },
} as const satisfies EventDefinitions
