import type { CompiledQuery } from 'kysely'
import type { DiagnosticScope } from './messages.ts'
import { tokensOf } from './sql-text.ts'

/** What the comments of a scope's statements say, by key. */
export type SqlCommentTags = Record<string, string | undefined>

/** @returns undefined when the scope's statements get no comment */
export type CommentOf = (scope: DiagnosticScope) => string | undefined

// Comments of statements as https://google.github.io/sqlcommenter/spec has them, for the tools that read a database's log.

/** What may stand behind a statement. */
const END = '; \n\r\t'
/** Of the W3C's Trace Context, in the form that every version starts with. */
const TRACEPARENT = /^(?!ff)[\da-f]{2}-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-[\da-f]{2}$/

/**
 * @param option `sqlComments` of the plugin
 * @returns undefined when there are no comments
 */
export function commentsFor(
  option: boolean | ((scope: DiagnosticScope) => SqlCommentTags) | undefined,
): CommentOf | undefined {
  if (option === undefined || option === false) return undefined
  const tagsOf = option === true ? standardTags : option
  const known = new WeakMap<DiagnosticScope, { readonly comment: string | undefined }>()
  return scope => {
    const before = known.get(scope)
    if (before !== undefined) return before.comment
    const comment = attempt(scope, tagsOf)
    known.set(scope, { comment })
    return comment
  }
}

/** A comment is worth less than the statement: what fails here fails nothing else. */
function attempt(
  scope: DiagnosticScope,
  tagsOf: (scope: DiagnosticScope) => SqlCommentTags,
): string | undefined {
  try {
    return commentText(tagsOf(scope))
  } catch (error) {
    scope.log.error({ err: error }, 'sqlComments failed; the statements of this scope have no comment')
    return undefined
  }
}

/** The pattern of the route, not its address, which has values in it. */
function standardTags(scope: DiagnosticScope): SqlCommentTags {
  const request = scope.request as RequestLike | undefined
  if (request === undefined) return { action: scope.label() }
  const traceparent = request.headers?.traceparent
  return {
    route: request.routeOptions?.url,
    traceparent: typeof traceparent === 'string' && TRACEPARENT.test(traceparent) ? traceparent : undefined,
  }
}

/** What is needed of a Fastify request; `run` takes any object for one. */
interface RequestLike {
  readonly headers?: Record<string, unknown>
  readonly routeOptions?: { readonly url?: string }
}

/**
 * @returns undefined when there is nothing to say
 */
export function commentText(tags: SqlCommentTags): string | undefined {
  const pairs = Object.keys(tags)
    .filter(key => key !== '' && tags[key] !== undefined)
    .sort()
    .map(key => `${encode(key)}='${encode(String(tags[key]))}'`)
  return pairs.length === 0 ? undefined : `/*${pairs.join(',')}*/`
}

/**
 * Leaves nothing that could end the comment, begin another or a text, stand for a parameter, or make it one that MySQL runs (`/*!`).
 */
function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed()).replace(
    /[!'()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
}

/**
 * The statement with the comment at its end; without it when it has one already.
 *
 * @param comment what {@link commentText} made
 */
export function commented(query: CompiledQuery, comment: string | undefined, dialect: string): CompiledQuery {
  const { sql } = query
  if (comment === undefined || hasComment(sql, dialect)) return query
  let end = sql.length
  while (end > 0 && END.includes(sql[end - 1] as string)) end--
  return { ...query, sql: `${sql.slice(0, end)} ${comment}${sql.slice(end)}` }
}

/** Most have none, and then nothing has to be read. */
function hasComment(sql: string, dialect: string): boolean {
  if (!sql.includes('/*') && !sql.includes('--') && !sql.includes('#')) return false
  return tokensOf(sql, dialect).some(({ kind }) => kind === 'comment')
}
