import { createCipheriv, createDecipheriv, createSecretKey, type KeyObject, randomBytes } from 'node:crypto'
import { errors as coreErrors } from '../../src/index.ts'
import { errors } from './errors.ts'

/** Encrypts states: whoever sees the tables does not see what has happened. Ids, versions and topics stay readable. */
export interface Cipher {
  /** @param aad is not encrypted, but nothing can be decrypted without it */
  encrypt(plain: Uint8Array, aad: Uint8Array): Uint8Array
  /** @throws anything when the bytes are not what `encrypt` has returned for the same `aad` */
  decrypt(secret: Uint8Array, aad: Uint8Array): Uint8Array
}

/** Options of {@link aesGcm}. */
export interface AesGcmOptions {
  /** Key id → key of 16, 24 or 32 bytes, or these in base64. The ids are stored, and are no secret. */
  readonly keys: Readonly<Record<string, Uint8Array | string>>
  /** The id of the key that encrypts. The others decrypt what was encrypted with them. */
  readonly current: string
}

/** The first byte, for the day when another layout is needed. */
const FORMAT = 1
/** Bytes of the nonce: what GCM is made for. */
const NONCE = 12
/** Bytes of the tag: all of it. */
const TAG = 16
const LONGEST_KEY_ID = 255
const BASE64 = /^[\w+/-]+={0,2}$/

/**
 * Encrypts by AES-GCM (NIST SP 800-38D), which also tells when a state was changed or moved to another event.
 *
 * To change the key, add a new one, make it `current`, and keep the old one as long as there are events of it. Nonces
 * are 96 random bits, so one key must not encrypt more than 2³² events (section 8.3): change it before.
 *
 * What is stored: 1, the length of the key id, the key id, the nonce, the secret, the tag.
 *
 * @throws SQLA_ERR_INVALID_OPTION when a key has not 16, 24 or 32 bytes, or `current` is none of them
 *
 * @example
 * ```ts
 * // node -p "crypto.randomBytes(32).toString('base64')"
 * aesGcm({ keys: { '2025': process.env.EVENTS_KEY_2025, '2026': process.env.EVENTS_KEY_2026 }, current: '2026' })
 * ```
 */
export function aesGcm({ keys, current }: AesGcmOptions): Cipher {
  const byId = new Map(Object.entries(keys).map(([id, key]) => [checkedId(id), keyOf(id, key)]))
  const currentKey = byId.get(current)
  if (currentKey === undefined) throw invalid(`current: there is no key '${current}'`)
  const header = Buffer.concat([Buffer.of(FORMAT, Buffer.byteLength(current)), Buffer.from(current)])
  return {
    encrypt(plain, aad) {
      const nonce = randomBytes(NONCE)
      const cipher = createCipheriv(algorithmOf(currentKey), currentKey, nonce)
      cipher.setAAD(Buffer.concat([header, aad]))
      const secret = cipher.update(plain)
      return Buffer.concat([header, nonce, secret, cipher.final(), cipher.getAuthTag()])
    },
    decrypt(secret, aad) {
      const bytes = Buffer.from(secret.buffer, secret.byteOffset, secret.byteLength)
      const start = 2 + (bytes[1] ?? 0)
      if (bytes[0] !== FORMAT || bytes.length < start + NONCE + TAG) {
        throw new errors.SQLA_ERR_DECRYPTION('it was not encrypted here, or a part of it is missing')
      }
      const key = byId.get(bytes.toString('utf8', 2, start))
      if (key === undefined) {
        throw new errors.SQLA_ERR_DECRYPTION('it was encrypted with a key whose id is not among the keys')
      }
      const nonce = bytes.subarray(start, start + NONCE)
      const decipher = createDecipheriv(algorithmOf(key), key, nonce, { authTagLength: TAG })
      decipher.setAAD(Buffer.concat([bytes.subarray(0, start), aad]))
      decipher.setAuthTag(bytes.subarray(-TAG))
      const plain = decipher.update(bytes.subarray(start + NONCE, -TAG))
      try {
        return Buffer.concat([plain, decipher.final()])
      } catch {
        throw new errors.SQLA_ERR_DECRYPTION(
          'its key is another one, or it was changed, or it belongs elsewhere',
        )
      }
    },
  }
}

type Algorithm = 'aes-128-gcm' | 'aes-192-gcm' | 'aes-256-gcm'

function algorithmOf(key: KeyObject): Algorithm {
  return `aes-${(key.symmetricKeySize as number) * 8}-gcm` as Algorithm
}

function checkedId(id: string): string {
  if (id !== '' && Buffer.byteLength(id) <= LONGEST_KEY_ID) return id
  throw invalid(`the id of a key must have 1 to ${LONGEST_KEY_ID} bytes`)
}

/** The message never has the key in it: it may be one with a slip of the pen. */
function keyOf(id: string, key: unknown): KeyObject {
  const isBase64 = typeof key === 'string' && BASE64.test(key)
  const bytes = isBase64 ? Buffer.from(key, 'base64') : key
  if (!(bytes instanceof Uint8Array) || ![16, 24, 32].includes(bytes.length)) {
    throw invalid(`the key '${id}' must have 16, 24 or 32 bytes, or be these in base64`)
  }
  return createSecretKey(bytes)
}

function invalid(reason: string): Error {
  return new coreErrors.SQLA_ERR_INVALID_OPTION('cipher', reason)
}
