import { z } from 'zod'
import type { EventDefinitions } from '../provider.ts'
import { freeForm, list, open } from '../schema.ts'
import { callkaroSamples } from './samples.ts'

/**
 * CallKaro AI's one event. No retry is documented, so an event that its schema refuses is lost:
 * only what identifies the call and its end is required, and not what an agent may lack.
 *
 * The last four fields are in the sample only, without a description.
 *
 * Source: CallKaro, Call ended event.
 */
export const callkaroEvents = {
  /** Any call completed. */
  call_ended: {
    schema: open(() => ({
      /** The unique id of the call session. */
      callSid: z.string(),
      /** The call's type, as in `outbound`. */
      name: z.string(),
      /** The id of the agent that handled the call. */
      agent: z.string(),
      /** The version of the agent. */
      versionId: z.string(),
      /** Digits, without a plus sign. */
      from: z.string(),
      /** Digits, without a plus sign. */
      to: z.string(),
      recordingUrl: z.string().nullish(),
      /** Seconds. */
      call_duration: z.number(),
      /** When the call was made, as in `2025-12-19 16:01:07`; no zone is documented. */
      time: z.string(),
      transcription: z.string().nullish(),
      /** The campaign, if there is one. */
      batchId: z.string().nullish(),
      /** Why the call ended. The page lists no values. */
      hangup_reason: z.string(),
      /** Metadata of your own. */
      call_metadata: freeForm().nullish(),
      /** Which attempt the call was; 0 in the sample. */
      try_count: z.number(),
      /** The answers that were extracted from the call. */
      post_call: freeForm().nullish(),
      /** The same with a comment each: `{ value, comment }` in the sample. */
      post_call_detail: freeForm().nullish(),
      /** The tools that ran during the call. */
      functions_called: list(
        z.object({
          name: z.string().nullish(),
          success: z.boolean().nullish(),
          /** As in `2025-12-19T15:25:00.000Z`. */
          timestamp: z.string().nullish(),
        }),
      ).nullish(),
      disposition_reason: z.string().nullish(),
      conversion_status: z.boolean().nullish(),
      next_call_scheduled: z.boolean().nullish(),
      call_link: z.string().nullish(),
    })),
    samples: callkaroSamples.call_ended,
  },
} as const satisfies EventDefinitions
