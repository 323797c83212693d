import { tokensOf } from '../../../src/index.ts'
import { type Html, html } from '../../web/html.ts'
import { shortened } from './format.ts'
import { formatted } from './sql-format.ts'

/** Characters of a statement that are shown. */
const MOST = 20_000
/** Characters of a statement on one line. */
const LINE = 240

const KEYWORDS = new Set(
  `add all alter and any array as asc begin between by cascade case cast check coalesce column commit conflict constraint
create cross current default delete desc distinct do drop else end except exists explain false fetch filter first for foreign from
full group having ilike in index inner insert intersect interval into is join key last lateral left like limit lock merge natural
not nothing null nulls of offset on only or order outer over partition primary recursive references release replace returning
right rollback row rows savepoint select set share show skip start table then to transaction true truncate union unique update
using values view when where window with`.split(/\s+/),
)

/** A statement on several lines. */
export function sqlBlock(sql: string, dialect: string): Html {
  const text = formatted(sql, dialect)
  return html`<pre class="sql" tabindex="0" role="region" aria-label="SQL"><code>${highlighted(shortened(text, MOST), dialect)}</code></pre>`
}

/** The beginning of a statement on one line. */
export function sqlLine(sql: string, dialect: string): Html {
  const line = sql
    .slice(0, LINE * 2)
    .replace(/\s+/g, ' ')
    .trim()
  const text = line.length > LINE ? `${line.slice(0, LINE)}…` : line
  return html`<code class="line">${highlighted(text, dialect)}</code>`
}

function highlighted(sql: string, dialect: string): Html[] {
  return tokensOf(sql, dialect).map(({ kind, text }) => {
    if (kind === 'space' || kind === 'symbol') return html`${text}`
    if (kind !== 'word') return html`<span class="${kind}">${text}</span>`
    return KEYWORDS.has(text.toLowerCase()) ? html`<span class="keyword">${text}</span>` : html`${text}`
  })
}
