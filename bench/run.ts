/**
 * The benchmarks: `npm run bench`, or `npm run bench -- --quick` for fewer rounds. With `stores` or
 * `inbox` as an argument those of the stores or inboxes; `npm run bench -- stores redis sqlite` for
 * some of them.
 *
 * Every figure is a ratio to something measured beside it, in turns and in the same minute: the
 * times of two machines, or of one machine on two days, say nothing about ringhook.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { buildSubjects } from './build.ts'
import { bodyBytes } from './deliveries.ts'
import { type HttpFigures, measureHttp } from './http.ts'
import { printInboxes } from './inboxes.ts'
import type { PipelineFigures } from './pipeline.ts'
import { decimal, range, ratios, spreadOf, table } from './statistics.ts'
import { printStores } from './stores.ts'
import type { Framework, Subject } from './subjects/server.ts'

const words = process.argv.slice(2).filter((word) => !word.startsWith('--'))
const isQuick = process.argv.includes('--quick')
const frameworks: readonly Framework[] = ['express', 'koa', 'fastify']
const labels: Readonly<Record<Subject, string>> = {
  bare: 'bare',
  byHand: 'by hand',
  ringhook: 'ringhook',
}

if (words[0] === 'inbox') await printInboxes({ names: words.slice(1), isQuick })
else if (words[0] === 'stores') await printStores({ names: words.slice(1), isQuick })
else await printReceivers()

async function printReceivers(): Promise<void> {
  const folder = await buildSubjects()
  await printPipeline(folder)
  for (const framework of frameworks) await printHttp(folder, framework)
  console.log('\nCPU µs: the server, per request. busy: how much of a processor it used.')
}

async function printPipeline(folder: string): Promise<void> {
  const child = fork(`${folder}/pipeline.js`, [isQuick ? '9' : '61'], {
    execArgv: [],
    env: { ...process.env, NODE_ENV: 'production' },
  })
  const [figures] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => {
      throw new Error('The benchmark of the pipeline ended without figures.')
    }),
  ])) as [PipelineFigures]
  const { floorUs, ringhookUs, floorCpuUs, ringhookCpuUs, deliveries } = figures
  console.log(
    `\nIn memory: a call.completed of ${bodyBytes} bytes, ${floorUs.length} × ${deliveries} events.`,
  )
  console.log(
    'Floor: createHmac with a KeyObject, timingSafeEqual, JSON.parse. Aim: at most 1.60.\n',
  )
  console.log(
    table(
      ['', 'µs', 'CPU µs', '× floor', 'p10–p90', '× floor, CPU'],
      [
        ['floor', decimal(floorUs), decimal(floorCpuUs), '1.00', '', '1.00'],
        [
          'ringhook',
          decimal(ringhookUs),
          decimal(ringhookCpuUs),
          decimal(ratios(ringhookUs, floorUs)),
          range(ratios(ringhookUs, floorUs)),
          decimal(ratios(ringhookCpuUs, floorCpuUs)),
        ],
      ],
    ),
  )
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
