import { createHash } from 'node:crypto'
import { errors } from './errors.ts'
import type { SortOrder } from './filters.ts'

/** A place in an ordered list: right behind or right before the row with these values. */
export interface Cursor {
  readonly side: 'after' | 'before'
  /** The row's value of each term of the order; text, as the database reads it. */
  readonly values: readonly CursorValue[]
}

export type CursorValue = string | number | boolean | null

export interface OrderField {
  readonly field: string
  readonly direction: SortOrder
}

/**
 * A cursor as text. It can be read by anybody, and made by anybody: it says where to go on, and gives no right to
 * see anything.
 */
export function encodeCursor(order: readonly OrderField[], { side, values }: Cursor): string {
  return Buffer.from(JSON.stringify([fingerprint(order), side, ...values])).toString('base64url')
}

/** Longer ones are none of ours. */
const LONGEST = 8_192

/** @throws SQLA_ERR_INVALID_CURSOR (400) it is no cursor, or one of another order */
export function decodeCursor(order: readonly OrderField[], text: unknown): Cursor {
  if (typeof text !== 'string' || text.length > LONGEST || !/^[\w-]+$/.test(text)) refuse('it is no cursor')
  let parsed: unknown
  try {
    parsed = JSON.parse(Buffer.from(text, 'base64url').toString())
  } catch {
    refuse('it is no cursor')
  }
  if (!Array.isArray(parsed)) refuse('it is no cursor')
  const [print, side, ...values] = parsed as unknown[]
  if (print !== fingerprint(order)) refuse('it belongs to a list in another order')
  const fine =
    (side === 'after' || side === 'before') && values.length === order.length && values.every(isValue)
  if (!fine) refuse('it is no cursor')
  return { side: side as Cursor['side'], values: values as CursorValue[] }
}

function isValue(value: unknown): value is CursorValue {
  if (typeof value === 'string') return !value.includes('\0')
  return value === null || typeof value === 'boolean' || Number.isFinite(value)
}

function fingerprint(order: readonly OrderField[]): string {
  const text = order.map(({ field, direction }) => `${field} ${direction}`).join(', ')
  return createHash('sha256').update(text).digest('base64url').slice(0, 8)
}

function refuse(why: string): never {
  throw new errors.SQLA_ERR_INVALID_CURSOR(why)
}
