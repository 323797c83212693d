/** How a driver writes parameters: `$1`, `?`, `%(p0)s`, `{p0:String}`. */
export type ParameterStyle = 'dollar' | 'question' | 'pyformat' | 'clickhouse'

/** What a driver takes beside the SQL: a list for `$1` and `?`, a record by name for the other styles. */
export type Params = readonly string[] | Readonly<Record<string, string>>

export interface BinderOptions {
  /** How many parameters the query has before the first of these. @default 0 */
  readonly after?: number
}

/** PostgreSQL counts the parameters of a query in 16 bits. */
const MOST_NUMBERED = 65_535

/**
 * Collects the values of one query as its parameters. One binder may serve several segments; it goes on numbering, so that
 * their expressions can stand in one query.
 *
 * Every value is a text: the SQL says what the server shall read it as (`$1::numeric`), so that no server guesses.
 *
 * @param style how the driver writes parameters
 * @param options `after`: the number of parameters that the query has already
 * @example
 * ```ts
 * const binder = new Binder('dollar', { after: 1 })
 * const members = translateSegment(segment, { evaluationContext, dialect, binder })
 * await client.query(`select id from identities i where environment_id = $1 and ${members.sql}`, ['env', ...binder.params])
 * ```
 */
export class Binder {
  readonly style: ParameterStyle
  readonly #after: number
  readonly #values: string[] = []
  readonly #placeholders = new Map<string, string>()

  constructor(style: ParameterStyle, options: BinderOptions = {}) {
    this.style = style
    this.#after = options.after ?? 0
  }

  /** The values, in the form that the style's drivers take. */
  get params(): string[] | Record<string, string> {
    if (this.style === 'dollar' || this.style === 'question') return [...this.#values]
    return Object.fromEntries(this.#values.map((value, index) => [this.#name(index), value]))
  }

  /**
   * Takes a value as a parameter. The same value of the same type is one parameter, where the style has names for them.
   *
   * @param type the dialect's name of the type that the SQL casts the placeholder to
   * @returns the placeholder, or undefined when no server takes one more; the value must then stand in the SQL
   */
  bind(value: string, type: string): string | undefined {
    if (this.style === 'question') return this.#add(value) === undefined ? undefined : '?'
    const known = `${type}:${value}`
    const placeholder = this.#placeholders.get(known) ?? this.#placeholder(this.#add(value), type)
    if (placeholder !== undefined) this.#placeholders.set(known, placeholder)
    return placeholder
  }

  /** SQL as this style's drivers must be given it: pyformat takes a single `%` for the beginning of a parameter. */
  escape(sql: string): string {
    return this.style === 'pyformat' ? sql.replaceAll('%', '%%') : sql
  }

  #add(value: string): number | undefined {
    const isNumbered = this.style === 'dollar' || this.style === 'question'
    if (isNumbered && this.#after + this.#values.length >= MOST_NUMBERED) return undefined
    return this.#values.push(value) - 1
  }

  #placeholder(index: number | undefined, type: string): string | undefined {
    if (index === undefined) return undefined
    if (this.style === 'dollar') return `$${this.#after + index + 1}`
    return this.style === 'pyformat' ? `%(${this.#name(index)})s` : `{${this.#name(index)}:${type}}`
  }

  #name(index: number): string {
    return `p${this.#after + index}`
  }
}
