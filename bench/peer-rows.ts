import { cpus } from 'node:os'
import { fileURLToPath } from 'node:url'
import { buildSubjects } from './build.ts'
import { figuresOf } from './figures.ts'
import { installPeers } from './peers.ts'
import type { PipelineFigures, PipelineRow, PipelineTask } from './pipeline.ts'
import { decimal, range, ratios, tableOrLines } from './statistics.ts'

export interface PipelineOptions {
  readonly isQuick: boolean
  /** Prints every figure of every pass, with versions and machine, and no table. */
  readonly isJson: boolean
  readonly isWrong: boolean
}

const root = fileURLToPath(new URL('../', import.meta.url))
const full = [
  { bytes: 430, deliveries: 5_000 },
  { bytes: 65_536, deliveries: 200 },
  { bytes: 1_048_576, deliveries: 20 },
]
const quick = [
  { bytes: 430, deliveries: 200 },
  { bytes: 65_536, deliveries: 10 },
]

/** Measures the pipeline beside its peers, and prints it. */
export async function printPipeline({ isQuick, isJson, isWrong }: PipelineOptions): Promise<void> {
  const peers = await installPeers(root)
  const folder = await buildSubjects()
  const task: PipelineTask = {
    root,
    sizes: isQuick ? quick : full,
    passes: isQuick ? 3 : 31,
    isWrong,
  }
  const subject = { subject: 'the pipeline', ...task }
  const figures = await figuresOf<PipelineFigures>(`${folder}/pipeline.js`, subject, '')
  const machine = { node: process.version, processor: cpus()[0]?.model, cores: cpus().length }
  if (isJson) {
    console.log(JSON.stringify({ machine, peers, ...figures }))
    return
  }
  console.log(
    `\nIn memory, ${task.passes} passes in turns. Node ${machine.node}, ${machine.processor}.`,
  )
  for (const { bytes, rows } of figures.sizes) {
    console.log(`\nbodies of ${bytes} bytes\n`)
    console.log(tableOf(rows))
  }
  console.log(
    '\n× floor: median of the ratios, pass by pass; behind it the 10th to the 90th percentile.',
  )
}

function tableOf(rows: readonly PipelineRow[]): string {
  const [floor] = rows
  if (floor === undefined) throw new Error('The benchmark of the pipeline has no rows.')
  return tableOrLines(
    ['', 'µs', 'CPU µs', '× floor', 'p10–p90', '× floor, CPU', 'p10–p90 ', 'does'],
    rows.map(({ name, does, us, cpuUs }) => [
      name,
      decimal(us),
      decimal(cpuUs),
      decimal(ratios(us, floor.us)),
      range(ratios(us, floor.us)),
      decimal(ratios(cpuUs, floor.cpuUs)),
      range(ratios(cpuUs, floor.cpuUs)),
      does,
    ]),
  )
}
