import { hash } from 'node:crypto'
import { errors } from '../../src/index.ts'

/** Names are domain names. */
export const NAMESPACE_DNS = '6ba7b810-9dad-11d1-80b4-00c04fd430c8'
/** Names are URLs. */
export const NAMESPACE_URL = '6ba7b811-9dad-11d1-80b4-00c04fd430c8'
/** Names are ISO object identifiers. */
export const NAMESPACE_OID = '6ba7b812-9dad-11d1-80b4-00c04fd430c8'
/** Names are X.500 distinguished names. */
export const NAMESPACE_X500 = '6ba7b814-9dad-11d1-80b4-00c04fd430c8'

/** RFC 9562 in the usual text form, of any version, and the two special ones. */
const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i

/** Whether a text is a UUID: 32 hexadecimal digits in five groups. */
export function isUuid(text: unknown): text is string {
  return typeof text === 'string' && UUID.test(text)
}

/**
 * The UUID of a name: version 5, made by SHA-1 (RFC 9562, section 5.5). The same name has the same UUID everywhere, so
 * whoever knows the name of an aggregate knows its id.
 *
 * @param namespace a UUID: what kind of name it is
 * @param name a text counts as its UTF-8 bytes
 * @returns 36 characters, in lower case
 * @throws SQLA_ERR_INVALID_OPTION when the namespace is no UUID
 *
 * @example
 * ```ts
 * uuid5(NAMESPACE_URL, '/dogs/Fido')
 * ```
 */
export function uuid5(namespace: string, name: string | Uint8Array): string {
  if (!isUuid(namespace)) throw new errors.SQLA_ERR_INVALID_OPTION('namespace', 'must be a UUID')
  const bytes = typeof name === 'string' ? Buffer.from(name) : name
  const digest = hash(
    'sha1',
    Buffer.concat([Buffer.from(namespace.replaceAll('-', ''), 'hex'), bytes]),
    'buffer',
  )
  digest[6] = ((digest[6] as number) & 0x0f) | 0x50
  digest[8] = ((digest[8] as number) & 0x3f) | 0x80
  const hex = digest.toString('hex', 0, 16)
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
