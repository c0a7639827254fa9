import { buildPrograms, root } from '../build.ts'
import { tie, untie } from '../machine.ts'
import { installPeers } from '../pipeline/peers.ts'
import {
  type Aim,
  type BenchOptions,
  type Column,
  figureOf,
  type Report,
  type Row,
  type Section,
} from '../report.ts'
import { ratios } from '../statistics.ts'
import { connections, type HttpFigures, measureFramework } from './measure.ts'
import { type Framework, frameworks, type Subject, subjects } from './subjects.ts'

const labels: Readonly<Record<Subject, string>> = {
  bare: 'bare',
  byHand: 'by hand',
  octokit: '@octokit/webhooks',
  ringhook: 'ringhook',
}
const titles: Readonly<Record<Framework, string>> = {
  express: 'Express 5',
  koa: 'Koa 3',
  fastify: 'Fastify 5',
  node: 'node:http',
}

/** The server's processor time per request under ringhook, over that of the handler by hand. */
const byHandAims: Readonly<Record<Framework, Aim>> = {
  express: { atMost: 0.85 },
  koa: { atMost: 1 },
  fastify: { atMost: 1.15 },
  node: { atMost: 1.15 },
}
/** Memory beyond the bare framework, in MiB. */
const rssAim: Aim = { atMost: 10 }

const columns: readonly Column[] = [
  { name: 'per s', digits: 0 },
  { name: 'p50 ms' },
  { name: 'p99 ms' },
  { name: 'busy' },
  { name: 'CPU µs', digits: 1 },
  { name: 'CPU ÷ bare', better: 'less' },
  { name: 'RSS MiB', digits: 1 },
  { name: 'beyond bare', digits: 1 },
]

/** Measures the frameworks over HTTP. */
export async function measureHttp({ parts, isQuick }: BenchOptions): Promise<Report> {
  await installPeers(root)
  const program = `${await buildPrograms()}/http/server.js`
  const options = isQuick
    ? { program, generations: 1, warmup: 1, rounds: 1, requests: 320 }
    : { program, generations: 5, warmup: 3, rounds: 3, requests: 6_400 }
  // Away from the servers, which have the first.
  const isApart = tie(process.pid, 1)
  const sections: Section[] = []
  try {
    for (const framework of frameworks) {
      if (parts.length > 0 && !parts.includes(framework)) continue
      const figures = await measureFramework(framework, options)
      sections.push(rowsOf(framework, figures), comparisonOf(framework, figures))
    }
  } finally {
    untie(process.pid)
  }
  const rounds = options.generations * options.rounds
  const place = isApart ? 'server and client on a processor each' : 'server and client together'
  return {
    name: 'http',
    title: `Over HTTP, ${connections} connections, bodies of 430 bytes, ${rounds} rounds in turns, ${place}`,
    sections,
  }
}

function rowsOf(framework: Framework, of: Readonly<Record<Subject, HttpFigures>>): Section {
  return {
    title: titles[framework],
    columns,
    rows: subjects.map((subject): Row => {
      const { perSecond, p50, p99, cpuUs, busy, rss } = of[subject]
      const beyond = rss.map((mebibytes, index) => mebibytes - (of.bare.rss[index] ?? Number.NaN))
      return {
        name: labels[subject],
        figures: {
          'per s': figureOf(perSecond),
          'p50 ms': figureOf(p50),
          'p99 ms': figureOf(p99),
          busy: figureOf(busy),
          'CPU µs': figureOf(cpuUs),
          'CPU ÷ bare': figureOf(ratios(cpuUs, of.bare.cpuUs)),
          'RSS MiB': figureOf(rss),
          'beyond bare': figureOf(beyond, subject === 'ringhook' ? rssAim : undefined),
        },
      }
    }),
    plot: { kind: 'bars', column: 'CPU ÷ bare' },
    notes: [
      'CPU: of the server, per request. Busy: how much of its processor it used. RSS: after the first round and a collection.',
    ],
  }
}

function comparisonOf(framework: Framework, of: Readonly<Record<Subject, HttpFigures>>): Section {
  const others = subjects.filter((subject) => subject !== 'ringhook')
  return {
    title: `${titles[framework]}, ringhook and the others`,
    columns: [{ name: 'CPU', better: 'less' }],
    rows: others.map((other) => ({
      name: `ringhook ÷ ${labels[other]}`,
      figures: {
        CPU: figureOf(
          ratios(of.ringhook.cpuUs, of[other].cpuUs),
          other === 'byHand' ? byHandAims[framework] : undefined,
        ),
      },
    })),
  }
}
