import type { SignedRequest } from 'ringhook/testing'

/** The delivery as a command to paste into a shell. */
export function curlCommand(url: string, { headers, body }: SignedRequest): string {
  const lines = [
    `curl -i ${quoted(url)}`,
    ...Object.entries(headers).map(([name, value]) => `-H ${quoted(`${name}: ${value}`)}`),
    // Not --data, which takes line breaks away and reads a file at an @.
    `--data-raw ${quoted(body)}`,
  ]
  return lines.join(' \\\n  ')
}

/** Text as one word of a POSIX shell, whatever is in it. */
export function quoted(text: string): string {
  if (/^[\w./:-]+$/.test(text)) return text
  return `'${text.replaceAll("'", `'\\''`)}'`
}
