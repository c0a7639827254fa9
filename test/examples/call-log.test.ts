import { createReceiver, krosai, type SentName } from 'ringhook'
import { deliver } from 'ringhook/testing'
import { describe, expect, it } from 'vitest'
import { CallLog, callLogHandlers } from '../../examples/shared/call-log.ts'

describe('the call log of the examples', () => {
  it('comes to the same end in whatever order the events of a call arrive', async () => {
    const forwards = await logOf([
      'call.initiated',
      'call.ringing',
      'call.answered',
      'call.completed',
    ])
    const backwards = await logOf([
      'call.completed',
      'call.answered',
      'call.ringing',
      'call.initiated',
    ])

    expect(forwards.calls).toMatchObject([{ id: 'call_abc123', status: 'completed', seconds: 180 }])
    expect(backwards.calls).toEqual(forwards.calls)
  })

  it('adds the recording and the transcript to their call, before and after its end', async () => {
    const { calls } = await logOf(['recording.ready', 'call.failed', 'transcript.ready'])

    expect(calls).toEqual([
      {
        id: 'call_abc123',
        status: 'failed',
        failure: 'Failed to establish connection',
        recordingUrl: 'https://storage.krosai.com/recordings/call_abc123.mp3',
        transcript: '[Agent]: Hello...',
      },
    ])
  })

  it('has every other event in its journal, with the number that it is about', async () => {
    const { calls, journal } = await logOf([
      'phone_number.updated',
      'number.released',
      'balance.low',
    ])

    expect(calls).toEqual([])
    expect(journal).toMatchObject([
      { type: 'phone_number.updated', about: 'pn_abc123' },
      { type: 'phone_number.released', about: 'pn_abc123' },
      { type: 'balance.low' },
    ])
  })
})

async function logOf(names: readonly SentName<typeof krosai>[]): Promise<CallLog> {
  const log = new CallLog()
  const receiver = createReceiver(krosai, { secret: 'a secret', on: callLogHandlers(log) })
  for (const name of names) await deliver(receiver, name)
  return log
}
