/** The least that is set aside for a body that has begun to arrive, in bytes. */
const leastBytes = 512

const nothing = Buffer.alloc(0)

/**
 * Copies pieces into one buffer that grows with them. A piece that is kept as it is takes some
 * hundred bytes beside its own, and can hold all of the 64 KiB that were read with it: a body that
 * comes byte by byte would take a thousand times its length. This takes twice what has arrived, and
 * `maxBytes` at most.
 */
export class Pieces {
  readonly #maxBytes: number
  #bytes = nothing
  #length = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** How many bytes there are. */
  get length(): number {
    return this.#length
  }

  /** Adds a piece. A single one may be longer than `maxBytes`. */
  add(piece: Uint8Array): void {
    const length = this.#length + piece.length
    if (length > this.#bytes.length) this.#grow(length)
    this.#bytes.set(piece, this.#length)
    this.#length = length
  }

  /** Returns all bytes in one, and starts anew. */
  take(): Buffer {
    const taken = this.#bytes.subarray(0, this.#length)
    this.#bytes = nothing
    this.#length = 0
    return taken
  }

  #grow(length: number): void {
    const doubled = Math.max(2 * this.#bytes.length, leastBytes)
    // Not from Node's pool, whose slabs a short body would hold.
    const grown = Buffer.allocUnsafeSlow(Math.max(length, Math.min(doubled, this.#maxBytes)))
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
  }
}
