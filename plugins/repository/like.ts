import {
  CharacterType,
  type EntityProperty,
  EnumType,
  type Platform,
  ReferenceKind,
  raw,
  StringType,
  TextType,
  UuidType,
} from '@mikro-orm/core'
import { BaseMySqlPlatform, BasePostgreSqlPlatform, SqlitePlatform } from '@mikro-orm/sql'
import { errors } from './errors.ts'

/** Where the text must be: anywhere in the column, at its beginning, or the whole of it. */
export type LikeMode = 'contains' | 'prefix' | 'exact'

/** How {@link likeCondition} compares. */
export interface LikeOptions {
  readonly mode: LikeMode
  /** Whether `a` and `A` are the same. Accents always count: `e` is never `é`. */
  readonly ignoreCase: boolean
  /**
   * Whether SQL that names the column says the table's alias. Default true. MikroORM writes no alias in an UPDATE or
   * DELETE of one table (`nativeUpdate`, `nativeDelete` without conditions on relations): say false there.
   */
  readonly qualified?: boolean
}

/** A condition of MikroORM on one entity: give it to `find`, or nest it under a relation, `$and`, `$or`, `$not`. */
export type Condition = Record<string | symbol, unknown>

/** Longer texts make patterns that SQLite refuses (50,000 bytes). */
const LONGEST = 4_096

/**
 * The condition that a text column holds a text. The text is a bound value and stands for itself: `%`, `_`, `*` and
 * `\` are no wildcards. It means the same on every database: case counts or does not whatever the column's collation
 * is (but `citext` of PostgreSQL never counts it), and an empty text is contained in everything but null.
 *
 * | | case counts | case is ignored |
 * |---|---|---|
 * | PostgreSQL | `name like 'a\%%'` | `name ilike 'a\%%'` |
 * | MariaDB, MySQL | `name like 'a!%%' escape '!' and name like … collate utf8mb4_bin escape '!'` | `lower(name) collate utf8mb4_bin like lower('a!%%') escape '!'` |
 * | SQLite | `name glob 'a%*'` | `name glob '[aA]%*'` |
 *
 * An index serves a prefix whose case counts: on PostgreSQL one of `text_pattern_ops` or collation C, on MariaDB
 * any, on SQLite one that is not `nocase`. PostgreSQL's `ilike` is served by `pg_trgm`. Which letters have a case,
 * says the column's collation on PostgreSQL (in `C` only a–z) and Unicode elsewhere.
 *
 * @param platform `em.getPlatform()`
 * @param property the column, from the entity's metadata; nest the condition under the relation it is reached by
 * @param text what to look for, at most 4,096 UTF-16 code units, without U+0000
 * @returns a condition on the entity that has the property
 * @throws SQLA_ERR_INVALID_FILTER (400) the property is no text column, or the text cannot be searched for
 *
 * @example
 * ```ts
 * const { name } = em.getMetadata(Author).properties
 * const condition = likeCondition(em.getPlatform(), name, '50%', { mode: 'prefix', ignoreCase: true })
 * await em.find(Book, { author: condition }) // PostgreSQL: "a1"."name" ilike '50\%%'
 * ```
 */
export function likeCondition(
  platform: Platform,
  property: EntityProperty,
  text: string,
  options: LikeOptions,
): Condition {
  if (!isTextColumn(platform, property)) refuse(property, 'is searched for text but is no text column')
  if (text.length > LONGEST) refuse(property, `is searched for a text longer than ${LONGEST} characters`)
  if (text.includes('\0')) refuse(property, 'is searched for a text with U+0000, which no column can hold')
  if (platform instanceof BasePostgreSqlPlatform) return postgresql(property, text, options)
  if (platform instanceof BaseMySqlPlatform) return mysql(platform, property, text, options)
  if (platform instanceof SqlitePlatform) return sqlite(platform, property, text, options)
  return refuse(property, 'cannot be searched for text on this database')
}

/**
 * The condition that a text column holds this text in letters of any case: {@link likeCondition} of `exact`, but on
 * PostgreSQL `lower(name) = lower('Ann')`, which an index on `lower(name)` serves.
 *
 * @throws SQLA_ERR_INVALID_FILTER (400) as {@link likeCondition}
 */
export function lowerCondition(platform: Platform, property: EntityProperty, text: string): Condition {
  const condition = likeCondition(platform, property, text, { mode: 'exact', ignoreCase: true })
  if (!(platform instanceof BasePostgreSqlPlatform)) return condition
  const column = columnOf(platform, property, {})
  return where(alias => `lower(${column(alias)}) = lower(?)`, [text])
}

/** Whether {@link likeCondition} can look into this property. */
export function isTextColumn(platform: Platform, property: EntityProperty): boolean {
  const [type] = property.columnTypes ?? []
  // A property of an embeddable that is stored as JSON counts as not persisted: MariaDB extracts it with its quotes.
  if (property.kind !== ReferenceKind.SCALAR || property.persist === false || type === undefined) return false
  // An enum type of PostgreSQL has no LIKE; text with a check, which is MikroORM's default, has.
  if (property.nativeEnumName !== undefined || property.customType instanceof UuidType) return false
  // A list or a JSON value in a column of type text.
  if (property.customType && !/^(string|any)$/.test(property.runtimeType)) return false
  const mapped = platform.getMappedType(type)
  return (
    [StringType, TextType, CharacterType, EnumType].some(known => mapped instanceof known) ||
    type.startsWith('citext')
  )
}

function postgresql(property: EntityProperty, text: string, { mode, ignoreCase }: LikeOptions): Condition {
  if (mode === 'exact' && !ignoreCase) return { [property.name]: text }
  const pattern = likePattern(text, mode, '\\')
  return { [property.name]: ignoreCase ? { $ilike: pattern } : { $like: pattern } }
}

/**
 * LIKE, also for the whole text, because `=` pads with spaces. The backslash is no escape character when the server
 * runs with NO_BACKSLASH_ESCAPES, so another one is named.
 */
function mysql(platform: Platform, property: EntityProperty, text: string, options: LikeOptions): Condition {
  const pattern = likePattern(text, options.mode, '!')
  if (options.ignoreCase) {
    const column = columnOf(platform, property, options)
    return where(
      alias =>
        `lower(convert(${column(alias)} using utf8mb4)) collate utf8mb4_bin ` +
        `like lower(convert(? using utf8mb4)) escape '!'`,
      [pattern],
    )
  }
  const binary = raw(`convert(? using utf8mb4) collate utf8mb4_bin escape '!'`, [pattern])
  const exactly = { [property.name]: { $like: binary } }
  // In the column's own collation too, whose matches are a superset, so that the column's index narrows it down. As
  // far as it is ASCII: what the column's character set does not know cannot be compared in its collation.
  const ascii = (/^[ -~]*/.exec(text) as RegExpExecArray)[0]
  if (options.mode === 'contains' || ascii === '') return exactly
  const narrowing = ascii === text ? pattern : likePattern(ascii, 'prefix', '!')
  return { $and: [{ [property.name]: { $like: raw(`? escape '!'`, [narrowing]) } }, exactly] }
}

/** GLOB, because SQLite's LIKE ignores case, always and for a–z alone. A set like `[éÉ]` ignores it for any letter. */
function sqlite(platform: Platform, property: EntityProperty, text: string, options: LikeOptions): Condition {
  const column = columnOf(platform, property, options)
  return where(alias => `${column(alias)} glob ?`, [globPattern(text, options)])
}

function likePattern(text: string, mode: LikeMode, escapeCharacter: '\\' | '!'): string {
  const escaped = text.replace(
    escapeCharacter === '!' ? /[!%_]/g : /[\\%_]/g,
    found => escapeCharacter + found,
  )
  return around(escaped, mode, '%')
}

function globPattern(text: string, { mode, ignoreCase }: LikeOptions): string {
  const escaped = Array.from(text, character => {
    if ('*?['.includes(character)) return `[${character}]`
    const cases = ignoreCase ? casesOf(character) : [character]
    return cases.length === 1 ? character : `[${cases.join('')}]`
  })
  return around(escaped.join(''), mode, '*')
}

/** The characters that have the same lower case as this one, which is what LOWER() on both sides compares. */
function casesOf(character: string): string[] {
  const lower = character.toLowerCase()
  const upper = character.toUpperCase()
  const cases = upper.toLowerCase() === lower ? [lower, upper, character] : [lower, character]
  // 'İ' and 'ß' change their length with their case; as sets of one character they have none.
  return [...new Set(cases)].filter(each => each === character || [...each].length === 1)
}

function around(pattern: string, mode: LikeMode, any: string): string {
  if (mode === 'exact') return pattern
  return mode === 'prefix' ? pattern + any : any + pattern + any
}

/** A condition in SQL of its own. The empty list says that it is complete, without a comparison behind it. */
function where(sql: (alias: string) => string, values: readonly unknown[]): Condition {
  return { [raw(sql, values)]: [] }
}

/** The column as SQL, behind the alias that MikroORM gives its table. */
function columnOf(
  platform: Platform,
  property: EntityProperty,
  { qualified = true }: Partial<LikeOptions>,
): (alias: string) => string {
  const quote = (name: string) => platform.quoteIdentifier(name).toString()
  const name = quote(property.fieldNames[0] as string)
  return alias => (qualified ? `${quote(alias)}.${name}` : name)
}

function refuse(property: EntityProperty, why: string): never {
  throw new errors.SQLA_ERR_INVALID_FILTER(`field '${property.name}'`, why)
}
