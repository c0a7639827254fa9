import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

/** The root of the repository, with a slash at its end. */
export const root = fileURLToPath(new URL('../..', import.meta.url))

/** A fenced block of a page, or the example of a docstring. */
export interface Block {
  /** The page or source file, from the root. */
  readonly page: string
  /** The line of its fence, from 1. */
  readonly line: number
  /** What stands behind the fence, as in `ts run`. */
  readonly info: string
  readonly text: string
  /** The name in its first line, as in `// server.ts`, or one after its line. */
  readonly file: string
}

/** Every page of words, from the root. */
export const pages: readonly string[] = [
  ...readdirSync(root).filter((name) => name.endsWith('.md')),
  ...['docs', 'decisions'].flatMap((folder) => filesIn(folder, '.md')),
]

/** Every source file, from the root. */
export const sources: readonly string[] = filesIn('src', '.ts')

/** The text of a page or a source file. */
export function textOf(path: string): string {
  return readFileSync(join(root, path), 'utf8')
}

/** The fenced blocks of a page, in its order. */
export function blocksOf(page: string): readonly Block[] {
  return fences(page, textOf(page), 1)
}

/** The blocks in the `@example` of a source file's docstrings. */
export function examplesOf(source: string): readonly Block[] {
  const text = textOf(source)
  const comments = [...text.matchAll(/\/\*\*(?:[^*]|\*(?!\/))*\*\//g)]
  return comments
    .filter(([comment]) => comment.includes('@example'))
    .flatMap(({ 0: comment, index }) => {
      const lines = comment.split('\n').map((line) => line.replace(/^\s*\*? ?/, ''))
      return fences(source, lines.join('\n'), text.slice(0, index).split('\n').length)
    })
}

/** One block of a page, by the name in its first line. */
export function blockNamed(page: string, file: string): Block {
  const block = blocksOf(page).find((candidate) => candidate.file === file)
  if (block === undefined) throw new Error(`${page} has no block that starts with // ${file}`)
  return block
}

/** Whether a block is TypeScript. */
export function isTypeScript({ info }: Block): boolean {
  return info.split(' ')[0] === 'ts'
}

/**
 * Writes blocks as files into a folder of their own, each page's beside each other, so that they can
 * be compiled and imported. It lies in the repository: packages are found as they are for `src`.
 */
export function unpack(purpose: string, blocks: readonly Block[]) {
  const folder = join(root, '.tmp', `docs-${purpose}-${process.pid}`)
  rmSync(folder, { recursive: true, force: true })
  const pathOf = ({ page, file }: Block) => join(folder, page.replaceAll(/[/.]/g, '-'), file)
  for (const block of blocks) {
    mkdirSync(dirname(pathOf(block)), { recursive: true })
    writeFileSync(pathOf(block), block.text)
  }
  return { pathOf, remove: () => rmSync(folder, { recursive: true, force: true }) }
}

/** The rows of the table under a heading that has these columns: cells by column. */
export function tableOf(page: string, columns: readonly string[]): readonly string[][] {
  const lines = textOf(page).split('\n')
  const start = lines.findIndex((line) => sameColumns(cellsOf(line), columns))
  if (start === -1) throw new Error(`${page} has no table with the columns ${columns.join(', ')}`)
  const rows: string[][] = []
  for (const line of lines.slice(start + 2)) {
    if (!line.startsWith('|')) break
    rows.push(cellsOf(line))
  }
  return rows
}

/** What stands in backticks in a cell. */
export function codeIn(cell: string | undefined): readonly string[] {
  return [...(cell ?? '').matchAll(/`([^`]+)`/g)].map((match) => match[1] ?? '')
}

/** The headings of a page that are outside of its blocks, with their level. */
export function headingsOf(
  page: string,
): readonly { readonly level: number; readonly text: string }[] {
  return [...withoutBlocks(page).matchAll(/^(#+) (.+)$/gm)].map((match) => ({
    level: match[1]?.length ?? 0,
    text: match[2] ?? '',
  }))
}

/** The text of a page without its fenced blocks. */
export function withoutBlocks(page: string): string {
  return textOf(page).replaceAll(/^```[\s\S]*?^```$/gm, '')
}

/** The members of the union of texts that a source file declares under a name. */
export function unionOf(source: string, name: string): readonly string[] {
  const members: string[] = []
  const visit = (node: ts.Node): void => {
    if (ts.isTypeAliasDeclaration(node) && node.name.text === name) {
      const { type } = node
      for (const member of ts.isUnionTypeNode(type) ? type.types : [type]) {
        if (ts.isLiteralTypeNode(member) && ts.isStringLiteral(member.literal)) {
          members.push(member.literal.text)
        }
      }
    }
    ts.forEachChild(node, visit)
  }
  visit(ts.createSourceFile(source, textOf(source), ts.ScriptTarget.Latest))
  return members
}

function filesIn(folder: string, end: string): string[] {
  return readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    .map((name) => `${folder}/${name.replaceAll('\\', '/')}`)
    .filter((name) => name.endsWith(end))
    .sort()
}

function fences(page: string, text: string, firstLine: number): Block[] {
  return [...text.matchAll(/^```(.*)\n([\s\S]*?)^```$/gm)].map(
    ({ 1: info = '', 2: code = '', index }) => {
      const line = firstLine + text.slice(0, index).split('\n').length - 1
      const named = /^\/\/ ([\w-]+(?:\.\w+)*\.ts)\n/.exec(code)?.[1]
      return { page, line, info, text: code, file: named ?? `line-${line}.ts` }
    },
  )
}

function cellsOf(line: string): string[] {
  if (!line.startsWith('|')) return []
  return line
    .trim()
    .slice(1, -1)
    .split('|')
    .map((cell) => cell.trim())
}

function sameColumns(cells: readonly string[], columns: readonly string[]): boolean {
  return cells.length === columns.length && cells.every((cell, index) => cell === columns[index])
}
