/**
 * What the ids of our jobs begin with. BullMQ takes no integers as ids, and keeps a job beside the
 * lists of its queue: without it a delivery with the key `wait` would be the list of what waits.
 */
const prefix = 'ringhook-'

/**
 * The id of the job of a delivery. BullMQ refuses colons, and UTF-8 would write every lone
 * surrogate as the same character.
 */
export function jobIdOf(key: string): string {
  return prefix + key.replace(/[%:\p{Cs}]/gu, escapeOf)
}

/** The key that a job's delivery was put under. A job of somebody else's has its id. */
export function keyOf(jobId: string): string {
  return jobId.startsWith(prefix)
    ? jobId.slice(prefix.length).replace(/%([0-9a-f]{4})/g, characterOf)
    : jobId
}

function escapeOf(character: string): string {
  return `%${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

function characterOf(_escape: string, code: string): string {
  return String.fromCharCode(Number.parseInt(code, 16))
}
