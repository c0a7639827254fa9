/**
 * The benchmarks: `npm run bench`, or `npm run bench -- --quick` for fewer rounds. With `pipeline`,
 * `stores` or `inbox` as an argument one of them alone; `npm run bench -- stores redis sqlite` for
 * some stores. `npm run bench -- pipeline --json` prints all its figures.
 *
 * Every figure is a ratio to something measured beside it, in turns and in the same minute: the
 * times of two machines, or of one machine on two days, say nothing about ringhook.
 */
import { buildSubjects } from './build.ts'
import { type HttpFigures, measureHttp } from './http.ts'
import { printInboxes } from './inboxes.ts'
import { printPipeline } from './peer-rows.ts'
import { decimal, range, ratios, spreadOf, table } from './statistics.ts'
import { printStores } from './stores.ts'
import type { Framework, Subject } from './subjects/server.ts'

const words = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const isQuick = process.argv.includes('--quick')
const isJson = process.argv.includes('--json')
/** For the test: a subject that answers wrongly ends the benchmark. */
const isWrong = process.argv.includes('--wrong')
const frameworks: readonly Framework[] = ['express', 'koa', 'fastify']
const labels: Readonly<Record<Subject, string>> = {
  bare: 'bare',
  byHand: 'by hand',
  ringhook: 'ringhook',
}

if (words[0] === 'inbox') await printInboxes({ names: words.slice(1), isQuick })
else if (words[0] === 'stores') await printStores({ names: words.slice(1), isQuick })
else if (words[0] === 'pipeline') await printPipeline({ isQuick, isJson, isWrong })
else await printReceivers()

async function printReceivers(): Promise<void> {
  await printPipeline({ isQuick, isJson: false, isWrong: false })
  const folder = await buildSubjects()
  for (const framework of frameworks) await printHttp(folder, framework)
  console.log('\nCPU µs: the server, per request. busy: how much of a processor it used.')
}

async function printHttp(folder: string, framework: Framework): Promise<void> {
  const figures = await measureHttp(framework, {
    folder,
    rounds: isQuick ? 3 : 9,
    requests: isQuick ? 3_200 : 6_400,
  })
  const { bare, byHand, ringhook } = figures
  const aim =
    framework === 'express' ? 'at least 1.00 of bare' : 'at least 0.95 of the handler by hand'
  console.log(`\n${framework}: requests per second. Aim: ${aim}.\n`)
  const row = (subject: Subject, of: HttpFigures) => [
    labels[subject],
    spreadOf(of.perSecond).median.toFixed(0),
    decimal(ratios(of.perSecond, bare.perSecond)),
    range(ratios(of.perSecond, bare.perSecond)),
    decimal(ratios(of.perSecond, byHand.perSecond)),
    range(ratios(of.perSecond, byHand.perSecond)),
    spreadOf(of.cpuUs).median.toFixed(1),
    decimal(ratios(byHand.cpuUs, of.cpuUs)),
    `${(100 * spreadOf(of.busy).median).toFixed(0)} %`,
  ]
  console.log(
    table(
      ['', 'per s', '÷ bare', 'p10–p90', '÷ by hand', 'p10–p90', 'CPU µs', 'by hand ÷', 'busy'],
      [row('bare', bare), row('byHand', byHand), row('ringhook', ringhook)],
    ),
  )
}
