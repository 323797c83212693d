import { brotliCompressSync, brotliDecompressSync, constants, deflateSync, inflateSync } from 'node:zlib'
import { errors } from '../../src/index.ts'

/** Makes states smaller. */
export interface Compressor {
  compress(bytes: Uint8Array): Uint8Array
  /** @throws anything when the bytes are not what `compress` has returned */
  decompress(bytes: Uint8Array): Uint8Array
}

/** What the compressors have in common. */
export interface CompressorOptions {
  /** States of fewer bytes are left as they are: they would hardly become smaller. Default 200. */
  readonly minimum?: number
}

/** Options of {@link deflate}. */
export interface DeflateOptions extends CompressorOptions {
  /** From 1, the fastest, to 9, the smallest. Default 6. */
  readonly level?: number
}

/** Options of {@link brotli}. */
export interface BrotliOptions extends CompressorOptions {
  /** From 0, the fastest, to 11, the smallest and by far the slowest. Default 5. */
  readonly quality?: number
}

/** What every state begins with, and nothing that is compressed. */
const BRACE = '{'.charCodeAt(0)
/** Put before what brotli makes, which may begin with anything. */
const BROTLI = 0x42

/**
 * Compresses states by DEFLATE in the format of zlib (RFC 1950). States that would not become smaller are left as they
 * are, so compression can be turned on for a log that has events already.
 *
 * @throws SQLA_ERR_INVALID_OPTION
 *
 * @example
 * ```ts
 * new Application({ on: engine, aggregates: [Dog], compressor: deflate() })
 * ```
 */
export function deflate({ level = 6, minimum = 200 }: DeflateOptions = {}): Compressor {
  checkRange('level', level, 1, 9)
  return optional(minimum, {
    // Its first byte is always 0x78.
    compress: bytes => deflateSync(bytes, { level }),
    decompress: bytes => inflateSync(bytes),
  })
}

/**
 * Compresses states by Brotli (RFC 7932), which makes texts smaller than {@link deflate} does. It has no checksum: a
 * damaged state may be read as another one, unless it is encrypted too.
 *
 * @throws SQLA_ERR_INVALID_OPTION
 */
export function brotli({ quality = 5, minimum = 200 }: BrotliOptions = {}): Compressor {
  checkRange('quality', quality, 0, 11)
  const params = { [constants.BROTLI_PARAM_QUALITY]: quality }
  return optional(minimum, {
    compress: bytes => Buffer.concat([Buffer.of(BROTLI), brotliCompressSync(bytes, { params })]),
    decompress: bytes => brotliDecompressSync(bytes.subarray(1)),
  })
}

/** Leaves states as they are where that is better. */
function optional(minimum: number, { compress, decompress }: Compressor): Compressor {
  return {
    compress(bytes) {
      if (bytes[0] !== BRACE) return compress(bytes)
      const compressed = bytes.length < minimum ? bytes : compress(bytes)
      return compressed.length < bytes.length ? compressed : bytes
    },
    decompress: bytes => (bytes[0] === BRACE ? bytes : decompress(bytes)),
  }
}

function checkRange(name: string, value: number, least: number, most: number): void {
  if (Number.isInteger(value) && value >= least && value <= most) return
  throw new errors.SQLA_ERR_INVALID_OPTION(name, `must be a whole number from ${least} to ${most}`)
}
