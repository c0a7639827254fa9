import { sent } from '../schema.ts'

/** The documented body. Source: CallKaro, Call ended event. */
export const callkaroSamples = {
  call_ended: sent({
    event: 'call_ended',
    data: {
      callSid: '2303fa770b666a64ab1694c1e',
      name: 'outbound',
      agent: '6803fa770b666a64ab1694c1e',
      versionId: '1203fa770b666a64ab1694c1e',
      from: '919876543210',
      to: '918765432109',
      recordingUrl: 'https://example.com/recording.mp3',
      call_duration: 120,
      time: '2025-12-19 16:01:07',
      transcription: 'Full call transcript...',
      batchId: '0303fa770b666a64ab1694c1e',
      hangup_reason: 'CLIENT_INITIATED',
      call_metadata: { name: 'Jatin', age: 25 },
      try_count: 0,
      post_call: { lead_status: 'interested' },
      post_call_detail: {
        lead_status: { value: 'interested', comment: 'Customer showed interest' },
      },
      functions_called: [
        { name: 'update_crm', success: true, timestamp: '2025-12-19T15:25:00.000Z' },
      ],
      disposition_reason: 'Customer requested callback',
      conversion_status: true,
      next_call_scheduled: false,
      call_link: 'https://callkaro.ai/dashboard/call-history?call_id=abc123',
    },
  }),
}
