/**
 * One store against its floor, in a process of its own: what a compiler made of another store's code
 * does not count here. Started by report.ts, which makes the report of what this sends. Started by hand, for a
 * profile, it prints its figures as JSON:
 *
 *   node --cpu-prof .tmp/bench/stores/process.js '{"subject":"postgres","rounds":5}'
 *
 * with where the server is in RINGHOOK_BENCH_URL.
 */
import { type Measures, measure } from './measure.ts'
import { type SubjectName, subjectOf } from './subjects.ts'

export interface StoreTask extends Measures {
  readonly subject: SubjectName
}

const preset: StoreTask = {
  subject: 'memory',
  workers: [1, 64, 256],
  rounds: 15,
  forMs: 150,
  events: 0,
}
const { subject, ...measures }: StoreTask = { ...preset, ...JSON.parse(process.argv[2] ?? '{}') }
// In the environment, because a command line shows the password to everybody.
const url = process.env['RINGHOOK_BENCH_URL'] ?? ''
const figures = await measure(await subjectOf(subject), url, measures)
if (process.send === undefined) console.log(JSON.stringify(figures))
else process.send(figures)
