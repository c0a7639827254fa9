import { init } from 'echarts'
import type { Aim, Figure, PlacedReport, Section } from './report.ts'

interface Bar {
  readonly name: string
  readonly figure: Figure
}

const width = 760

/** Draws the sections of a report that are to be drawn, each as an SVG document. */
export function plotsOf(report: PlacedReport): readonly string[] {
  return report.sections.flatMap((section) => {
    const { plot, rows } = section
    if (plot === undefined) return []
    const bars = rows.flatMap(({ name, figures }): Bar[] => {
      const figure = figures[plot.column]
      return figure === undefined ? [] : [{ name, figure }]
    })
    return [plot.kind === 'bars' ? drawBars(section, bars) : drawLine(section, bars)]
  })
}

/** A bar for each row with its value behind it, and a mark where its aim is. */
function drawBars(section: Section, bars: readonly Bar[]): string {
  const longest = Math.max(...bars.map(({ name }) => name.length))
  const most = Math.max(...bars.map(({ figure }) => figure.median))
  return draw(90 + 26 * bars.length, {
    title: titleOf(section),
    grid: { left: 20 + 7 * longest, right: 60, top: 50, bottom: 30 },
    yAxis: { type: 'category', inverse: true, data: bars.map(({ name }) => name) },
    xAxis: { type: 'value', min: 0, max: Number((most * 1.05).toPrecision(2)) },
    series: [
      {
        type: 'bar',
        barWidth: 14,
        data: bars.map(({ name, figure }) => ({
          value: figure.median,
          itemStyle: { color: /ringhook/.test(name) ? '#d9480f' : '#868e96' },
        })),
        label: { show: true, position: 'right', formatter: labelOf },
      },
      {
        type: 'scatter',
        symbol: 'rect',
        symbolSize: [2, 20],
        itemStyle: { color: '#1864ab' },
        data: bars.flatMap(({ name, figure }) =>
          figure.aim === undefined ? [] : [[boundOf(figure.aim), name]],
        ),
      },
    ],
  })
}

/** A line through all rows, whose names are numbers. */
function drawLine(section: Section, bars: readonly Bar[]): string {
  const most = Math.max(...bars.map(({ figure }) => figure.high))
  return draw(260, {
    title: titleOf(section),
    grid: { left: 60, right: 30, top: 50, bottom: 40 },
    xAxis: { type: 'category', data: bars.map(({ name }) => name) },
    yAxis: { type: 'value', min: 0, max: Number((most * 1.1).toPrecision(2)) },
    series: [
      {
        type: 'line',
        symbolSize: 6,
        itemStyle: { color: '#d9480f' },
        data: bars.map(({ figure }) => figure.median),
        label: { show: bars.length < 15, formatter: labelOf },
      },
    ],
  })
}

interface Title {
  readonly text: string
  readonly left: number
  readonly top: number
  readonly textStyle: { readonly fontSize: number }
}

function titleOf({ title, plot }: Section): Title {
  return { text: `${title}: ${plot?.column}`, left: 10, top: 8, textStyle: { fontSize: 14 } }
}

function labelOf({ value }: { readonly value: unknown }): string {
  return Number(value).toFixed(2)
}

function boundOf(aim: Aim): number {
  return 'atMost' in aim ? aim.atMost : aim.atLeast
}

type Options = Parameters<ReturnType<typeof init>['setOption']>[0]

function draw(height: number, options: Options & { readonly title: Title }): string {
  const chart = init(null, null, { renderer: 'svg', ssr: true, width, height })
  chart.setOption({ animation: false, backgroundColor: '#ffffff', ...options })
  const svg = chart.renderToSVGString()
  // Else its clock keeps the process alive.
  chart.dispose()
  // For those who cannot see it.
  const title = options.title.text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
  return `${svg.replace('>', `>\n<title>${title}</title>`)}\n`
}
