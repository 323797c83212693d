import { tokensOf } from 'fastify-sqlassist'
import { type Html, html } from '../html.ts'

const KEYWORD =
  /^(?:select|from|where|insert|into|values|update|set|delete|returning|order|by|limit|offset|join|left|on|and|or|in|as|conflict|do|for|share|asc|desc|nothing|count|is|null|not|distinct|default)$/i

/** SQL whose keywords stand out. */
export function highlighted(sql: string): Html {
  return html`${tokensOf(sql, 'postgresql').map(({ kind, text }) =>
    kind === 'word' && KEYWORD.test(text)
      ? html`<b>${text}</b>`
      : kind === 'parameter'
        ? html`<i>${text}</i>`
        : text,
  )}`
}
