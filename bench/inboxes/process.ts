/**
 * One inbox against its engine, in a process of its own. Started by report.ts, which makes the
 * report of what this sends. Started by hand, for a profile, it prints its figures as JSON:
 *
 *   node --cpu-prof .tmp/bench/inboxes/process.js '{"subject":"sqlite"}'
 *
 * with where the server is in RINGHOOK_BENCH_URL.
 */
import { type Measures, measure } from './measure.ts'
import { type SubjectName, subjectOf } from './subjects.ts'

export interface InboxTask extends Measures {
  readonly subject: SubjectName
}

const preset: InboxTask = {
  subject: 'sqlite',
  workers: [1, 64],
  rounds: 9,
  deliveries: 1_000,
  backlog: 0,
}
const { subject, ...measures }: InboxTask = { ...preset, ...JSON.parse(process.argv[2] ?? '{}') }
// In the environment, because a command line shows the password to everybody.
const url = process.env['RINGHOOK_BENCH_URL'] ?? ''
const open = await subjectOf(subject)
const figures = await measure(await open(url), measures)
if (process.send === undefined) console.log(JSON.stringify(figures))
else process.send(figures)
// Engines keep connections of their own.
process.disconnect?.()
