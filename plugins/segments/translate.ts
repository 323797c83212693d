import type { Binder, Params } from './binder.ts'
import { compileSegment } from './compile.ts'
import type { Dialect, Scope } from './dialect.ts'
import { emitTest, type Sql, type SubjectSql, Untranslatable } from './emit.ts'
import { matches } from './evaluate.ts'
import type { Predicate, Subject, Test } from './predicate.ts'
import type { EvaluationContext, SegmentContext } from './segment.ts'

export interface TranslateOptions {
  /** The environment of the identities. An identity in it is not looked at: the SQL is for all of them. */
  readonly evaluationContext: EvaluationContext
  readonly dialect: Dialect
  /** Where the values go. Without one they stand in the SQL. */
  readonly binder?: Binder
  /** The identities table's name in the query. @default 'i' */
  readonly identitiesAlias?: string
  /**
   * Also translate a segment that has no exact SQL: to a condition that all of its members fulfil, and others may too
   * (`exact: false`). The evaluator then decides about those that the condition finds. @default false
   */
  readonly prefilter?: boolean
}

/** A segment as a condition on the identities table. */
export interface Translation<Exact extends boolean = boolean> {
  /** A condition that is true or false for every row, never NULL, and fails for none; it can stand behind AND and NOT. */
  readonly sql: string
  /** All that the binder has collected; an empty list without one. */
  readonly params: Params
  /** Whether exactly the members fulfil it. */
  readonly exact: Exact
}

/** A part of a segment that has no SQL in a dialect. */
export interface TranslationProblem {
  /** Where it is in the segment: `rules[0].conditions[1]`. */
  readonly at: string
  readonly reason: string
}

/**
 * Writes a segment as a condition on a whole table of identities: what `isContextInSegment` says of each of them.
 *
 * The caller's query restricts the rows to the environment of the evaluation context, whose key is in `environment_id`.
 *
 * @returns null when a part of the segment has no SQL in the dialect; {@link translationProblems} says which and why. With
 *   `prefilter` never null. It never throws.
 *
 * @example
 * ```ts
 * const binder = new Binder('dollar', { after: 1 })
 * const where = translateSegment(segment, {
 *   evaluationContext: { environment: { key: 'env', name: 'Production' } },
 *   dialect: new PostgresDialect(),
 *   binder,
 * })
 * if (where) {
 *   await client.query(`select count(*) from identities i where i.environment_id = $1 and ${where.sql}`, ['env', ...where.params])
 * }
 * ```
 */
export function translateSegment(
  segment: SegmentContext,
  options: TranslateOptions & { readonly prefilter: true },
): Translation
export function translateSegment(
  segment: SegmentContext,
  options: TranslateOptions & { readonly prefilter?: false },
): Translation<true> | null
export function translateSegment(segment: SegmentContext, options: TranslateOptions): Translation | null
export function translateSegment(segment: SegmentContext, options: TranslateOptions): Translation | null {
  const translation = new Translator(options)
  const condition = translation.translate(compileSegment(segment))
  const exact = translation.problems.length === 0
  if (!exact && options.prefilter !== true) return null
  return { sql: translation.write(condition), params: options.binder?.params ?? [], exact }
}

/**
 * Says why `translateSegment` answers null.
 *
 * @returns the parts that have no SQL; none when the translation is exact
 */
export function translationProblems(
  segment: SegmentContext,
  options: Pick<TranslateOptions, 'evaluationContext' | 'dialect'>,
): readonly TranslationProblem[] {
  const translation = new Translator(options)
  translation.translate(compileSegment(segment))
  return translation.problems
}

interface Literal {
  readonly text: string
  readonly type: string
}

class Translator {
  readonly problems: TranslationProblem[] = []
  readonly #context: EvaluationContext
  readonly #dialect: Dialect
  readonly #binder: Binder | undefined
  readonly #scope: Scope
  readonly #literals: Literal[] = []

  constructor({ evaluationContext, dialect, binder, identitiesAlias = 'i' }: TranslateOptions) {
    this.#context = evaluationContext
    this.#dialect = dialect
    this.#binder = binder
    this.#scope = {
      alias: dialect.identifier(identitiesAlias),
      literal: (text, type = dialect.textType) => this.#literal(text, type),
    }
  }

  /** @param isPositive whether more identities may pass when more may pass here; under NOT it is the reverse */
  translate(predicate: Predicate, isPositive = true): Sql {
    switch (predicate.kind) {
      case 'constant':
        return predicate.value
      case 'and':
        return this.#group(predicate.of, ' and ', isPositive)
      case 'or':
        return this.#group(predicate.of, ' or ', isPositive)
      case 'not': {
        const inner = this.translate(predicate.of, !isPositive)
        return typeof inner === 'boolean' ? !inner : `not (${inner})`
      }
      case 'unsupported':
        return this.#unknown(predicate.at, predicate.reason, isPositive)
      case 'test':
        return this.#test(predicate, isPositive)
    }
  }

  /**
   * The SQL with its literals in their places. Only now are they bound: in the order of the text, and none of a part that
   * was left out.
   */
  write(condition: Sql): string {
    const binder = this.#binder
    const parts = `(${condition})`.split('\0')
    return parts
      .map((part, index) => (index % 2 === 1 ? this.#place(Number(part)) : (binder?.escape(part) ?? part)))
      .join('')
  }

  #group(of: readonly Predicate[], separator: ' and ' | ' or ', isPositive: boolean): Sql {
    const decisive = separator === ' or '
    const found: string[] = []
    let isDecided = false
    for (const predicate of of) {
      const condition = this.translate(predicate, isPositive)
      if (condition === decisive) isDecided = true
      if (typeof condition === 'string') found.push(condition)
    }
    if (isDecided) return decisive
    if (found.length === 0) return !decisive
    return found.length === 1 ? (found[0] as string) : `(${found.join(separator)})`
  }

  #test({ subject, test, at }: Extract<Predicate, { kind: 'test' }>, isPositive: boolean): Sql {
    try {
      return this.#testOf(subject, test, at)
    } catch (error) {
      if (error instanceof Untranslatable) return this.#unknown(at, error.message, isPositive)
      throw error
    }
  }

  #testOf(subject: Subject, test: Test, at: string): Sql {
    if (subject.kind === 'path') {
      if (subject.isConstant) return matches({ kind: 'test', subject, test, at }, this.#context)
      throw new Untranslatable(`the path '${subject.path.text}' leads to another place for each identity`)
    }
    // No row has such a trait.
    if (subject.kind === 'trait' && !subject.path.every(name => this.#dialect.canHold(name)))
      return test.kind === 'unset'
    return emitTest(test, this.#subject(subject), this.#dialect, this.#scope)
  }

  #subject(subject: Exclude<Subject, { kind: 'path' }>): SubjectSql {
    const { alias } = this.#scope
    switch (subject.kind) {
      case 'trait':
        return { ...this.#dialect.trait(subject.path, this.#scope), traitPath: subject.path }
      case 'identifier':
        return { text: `${alias}.identifier`, isText: true, isBoolean: false }
      case 'key':
        return { text: this.#key(), isText: true, isBoolean: false }
    }
  }

  #key(): string {
    const { alias, literal } = this.#scope
    const prefix = `${this.#context.environment.key}_`
    if (!this.#dialect.canHold(prefix))
      throw new Untranslatable('the key of the environment is none that can be stored')
    const made = this.#dialect.concat(literal(prefix), `${alias}.identifier`)
    return `coalesce(nullif(${alias}.identity_key, ''), ${made})`
  }

  #unknown(at: string, reason: string, isPositive: boolean): boolean {
    this.problems.push({ at, reason })
    return isPositive
  }

  #literal(text: string, type: string): string {
    return `\0${this.#literals.push({ text, type }) - 1}\0`
  }

  #place(index: number): string {
    const { text, type } = this.#literals[index] as Literal
    const placeholder = this.#binder?.bind(text, type)
    if (placeholder === undefined) return this.#dialect.inline(text, type)
    return this.#dialect.bound(placeholder, type)
  }
}
