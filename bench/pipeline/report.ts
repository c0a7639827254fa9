import { buildPrograms, root } from '../build.ts'
import { figuresOf } from '../processes.ts'
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
import { partPrefix } from './parts.ts'
import { installPeers } from './peers.ts'
import type { PipelineFigures, PipelineRow, PipelineTask } from './process.ts'

const full = [
  { bytes: 430, deliveries: 5_000 },
  { bytes: 65_536, deliveries: 200 },
  { bytes: 1_048_576, deliveries: 20 },
]
const quick = [
  { bytes: 430, deliveries: 200 },
  { bytes: 65_536, deliveries: 10 },
]
/** The processor time of a handled delivery, over that of the floor, by the size of its body. */
const aims: Readonly<Record<number, Aim>> = { 430: { atMost: 2.2 }, 65536: { atMost: 1.15 } }
/** The same over that of the handler written by hand. */
const byHandAim: Aim = { atMost: 1.25 }
/** The same of a forged one, over that of a handled one. */
const forgedAim: Aim = { atMost: 0.6 }
const peerAim: Aim = { atMost: 1 }

const columns: readonly Column[] = [
  { name: 'µs' },
  { name: 'CPU µs' },
  { name: '× floor', better: 'less' },
  { name: '× floor, CPU', better: 'less' },
]

/** Measures the pipeline beside its floor and its peers. */
export async function measurePipeline({ isQuick, isWrong }: BenchOptions): Promise<Report> {
  await installPeers(root)
  const task: PipelineTask = {
    root,
    sizes: isQuick ? quick : full,
    passes: isQuick ? 3 : 31,
    isWrong,
  }
  const program = `${await buildPrograms()}/pipeline/process.js`
  const { sizes } = await figuresOf<PipelineFigures>(program, { subject: 'the pipeline', ...task })
  return {
    name: 'pipeline',
    title: `A delivery in memory, from its bytes to its answer, ${task.passes} passes in turns`,
    sections: sizes.flatMap(({ bytes, rows }) => {
      const whole = rows.filter(({ name }) => !name.startsWith(partPrefix))
      return [rowsOf(bytes, whole), comparisonOf(bytes, whole), partsOf(bytes, rows)]
    }),
  }
}

function rowsOf(bytes: number, rows: readonly PipelineRow[]): Section {
  const floor = named(rows, 'floor')
  return {
    title: `${bytes} bytes`,
    columns,
    rows: rows.map(
      ({ name, does, us, cpuUs }): Row => ({
        name,
        says: does,
        figures: {
          µs: figureOf(us),
          'CPU µs': figureOf(cpuUs),
          '× floor': figureOf(ratios(us, floor.us)),
          '× floor, CPU': figureOf(
            ratios(cpuUs, floor.cpuUs),
            name === 'ringhook, handled' ? aims[bytes] : undefined,
          ),
        },
      }),
    ),
    plot: { kind: 'bars', column: '× floor, CPU' },
    notes: [
      'Median of the ratios, pass by pass, with the 10th and the 90th percentile. CPU: with the threads of the garbage collector.',
    ],
  }
}

/** Ringhook over the others, and a forged delivery over a genuine one. */
function comparisonOf(bytes: number, rows: readonly PipelineRow[]): Section {
  const handled = named(rows, 'ringhook, handled')
  const rejected = named(rows, 'ringhook, rejected')
  const peers = rows.slice(rows.findLastIndex(({ name }) => name.startsWith('ringhook')) + 1)
  const row = (name: string, of: PipelineRow, by: PipelineRow, aim?: Aim): Row => ({
    name,
    figures: { CPU: figureOf(ratios(of.cpuUs, by.cpuUs), aim) },
  })
  return {
    title: `${bytes} bytes, ringhook and the others`,
    columns: [{ name: 'CPU', better: 'less' }],
    rows: [
      row('forged ÷ genuine', rejected, handled, bytes === 430 ? forgedAim : undefined),
      row(
        'ringhook ÷ by hand',
        handled,
        named(rows, 'by hand'),
        bytes === 430 ? byHandAim : undefined,
      ),
      ...peers.map((peer) => row(`ringhook ÷ ${peer.name}`, handled, peer, peerAim)),
    ],
  }
}

/** What the promise takes beyond the floor, part by part, and all of it. */
function partsOf(bytes: number, rows: readonly PipelineRow[]): Section {
  const floor = named(rows, 'floor')
  const parts = rows.filter(({ name }) => name.startsWith(partPrefix))
  const sums = floor.cpuUs.map((us, pass) =>
    parts.reduce((sum, part) => sum + (part.cpuUs[pass] ?? Number.NaN), us),
  )
  const row = (name: string, cpuUs: readonly number[]): Row => ({
    name,
    figures: {
      'CPU µs': figureOf(cpuUs),
      '× floor, CPU': figureOf(ratios(cpuUs, floor.cpuUs)),
    },
  })
  return {
    title: `${bytes} bytes, the parts of the promise`,
    columns: [{ name: 'CPU µs' }, { name: '× floor, CPU', better: 'less' }],
    rows: [
      ...parts.map(({ name, cpuUs }) => row(name.slice(partPrefix.length), cpuUs)),
      row('the floor and all of them', sums),
    ],
    notes: [
      'Each part alone, with nothing between them: no bounds, no routing, no deadline, no answer.',
    ],
  }
}

function named(rows: readonly PipelineRow[], name: string): PipelineRow {
  const found = rows.find((row) => row.name === name)
  if (found === undefined) throw new Error(`The benchmark of the pipeline has no row ${name}.`)
  return found
}
