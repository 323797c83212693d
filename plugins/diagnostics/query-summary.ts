import { type SqlToken, tokensOf } from '../../src/index.ts'

/** What is known of a statement by its text. */
export interface QuerySummary {
  /** Its operations and what they are done to, in the order and the spelling of the text: `insert "note" select "draft"`. */
  readonly text: string
  /** Whether its answer has rows, other than the number of those that it has changed. */
  readonly returnsRows: boolean
}

/** Characters, as the conventions say. */
const LONGEST = 255
/** Statements that differ in their values only are the same, so an application has not many. */
const MOST_KNOWN = 1_000
/** Characters. Longer ones are read again each time, rather than kept. */
const LONGEST_KNOWN = 4_000

const CHANGES = new Set(['insert', 'update', 'delete', 'merge', 'replace'])
const OPERATIONS = new Set(['select', ...CHANGES])
/** `for update`, `on delete cascade`, `do update set`, `then delete` of a MERGE are no operations. */
const NO_OPERATION_AFTER = new Set(['for', 'key', 'on', 'do', 'then'])
/** What ends the list of tables behind `from`. */
const AFTER_TABLES = new Set('where group order having limit offset set values returning union on'.split(' '))
const DEFINITIONS = new Set(['create', 'alter', 'drop', 'truncate', 'lock'])
const DEFINED = new Set('table index view schema sequence type function trigger extension'.split(' '))
const NO_NAME = new Set(['if', 'not', 'exists', 'concurrently', 'only', 'lateral', 'table'])

const known = new Map<string, QuerySummary>()

/**
 * The summary of a query as the semantic conventions of OpenTelemetry want it: few different ones, and no value in any.
 *
 * @param sql without values
 * @param dialect `postgresql`, `mysql`, `mariadb`, `sqlite`
 */
export function summaryOf(sql: string, dialect: string): QuerySummary {
  if (sql.length > LONGEST_KNOWN) return summarise(sql, dialect)
  const key = `${dialect} ${sql}`
  let summary = known.get(key)
  if (summary === undefined) {
    if (known.size >= MOST_KNOWN) known.clear()
    summary = summarise(sql, dialect)
    known.set(key, summary)
  }
  return summary
}

function summarise(sql: string, dialect: string): QuerySummary {
  const tokens = tokensOf(sql, dialect).filter(({ kind }) => kind !== 'space' && kind !== 'comment')
  const [first] = tokens
  const words = new Set(tokens.map(wordOf))
  const returnsRows = words.has('returning') || ![...CHANGES].some(change => words.has(change))
  if (first === undefined) return { text: '', returnsRows }
  if (DEFINITIONS.has(wordOf(first))) return { text: join(partsOfDefinition(tokens)), returnsRows: false }
  const parts = partsOfQuery(tokens)
  // `savepoint "one"`, `set …`, `show …`: the command alone, as names of savepoints are many.
  return { text: join(parts.length === 0 ? [first.text] : parts), returnsRows }
}

/** `create unique index "by_tag" on …` → `create index "by_tag"`. */
function partsOfDefinition(tokens: readonly SqlToken[]): string[] {
  const operation = (tokens[0] as SqlToken).text
  const kindAt = tokens.findIndex(token => DEFINED.has(wordOf(token)))
  const name = nameAt(tokens, Math.max(kindAt, 0) + 1)
  return [
    operation,
    ...(kindAt === -1 ? [] : [(tokens[kindAt] as SqlToken).text]),
    ...(name ? [name.text] : []),
  ]
}

/** What stands between two parentheses, or around all of them. */
interface Frame {
  operation: string | undefined
  /** Whether a comma is followed by another table. */
  listsTables: boolean
}

function partsOfQuery(tokens: readonly SqlToken[]): string[] {
  const parts: string[] = []
  const frames: Frame[] = [{ operation: undefined, listsTables: false }]
  for (let at = 0; at < tokens.length; at++) {
    const token = tokens[at] as SqlToken
    const word = wordOf(token)
    const frame = frames.at(-1) as Frame
    const before = wordOf(tokens[at - 1])
    if (token.text === '(') frames.push({ operation: undefined, listsTables: false })
    else if (token.text === ')') {
      if (frames.length > 1) frames.pop()
    } else if (OPERATIONS.has(word) && !NO_OPERATION_AFTER.has(before) && tokens[at + 1]?.text !== '(') {
      frame.operation = word
      frame.listsTables = false
      parts.push(token.text)
      if (word === 'update') at = takeTable(tokens, at + 1, parts, true)
    } else if (AFTER_TABLES.has(word)) {
      // Behind the condition of a join there may be another table.
      if (word !== 'on') frame.listsTables = false
    } else if (leadsToTable(word, before, frame) || (token.text === ',' && frame.listsTables)) {
      frame.listsTables = word !== 'into'
      at = takeTable(tokens, at + 1, parts, word === 'into')
    }
  }
  return parts
}

/** `extract(year from x)` and `x is distinct from y` name no table. */
function leadsToTable(word: string, before: string, { operation }: Frame): boolean {
  if (operation === undefined) return false
  if (word === 'from') return before !== 'distinct'
  if (word === 'using') return operation === 'delete' || operation === 'merge'
  return word === 'join' || word === 'into'
}

/** @returns where the name ends */
function takeTable(tokens: readonly SqlToken[], at: number, parts: string[], hasColumns: boolean): number {
  const name = nameAt(tokens, at)
  if (name === undefined) return at - 1
  // A function's result is no table; the columns of an INSERT stand in parentheses, too.
  if (hasColumns || tokens[name.end + 1]?.text !== '(') parts.push(name.text)
  return name.end
}

function nameAt(tokens: readonly SqlToken[], from: number): { text: string; end: number } | undefined {
  let at = from
  while (NO_NAME.has(wordOf(tokens[at]))) at++
  const isName = (token: SqlToken | undefined): boolean =>
    token?.kind === 'identifier' || (token?.kind === 'word' && !OPERATIONS.has(wordOf(token)))
  if (!isName(tokens[at])) return undefined
  let text = (tokens[at] as SqlToken).text
  while (tokens[at + 1]?.text === '.' && isName(tokens[at + 2])) {
    at += 2
    text += `.${(tokens[at] as SqlToken).text}`
  }
  return { text, end: at }
}

function wordOf(token: SqlToken | undefined): string {
  return token?.kind === 'word' ? token.text.toLowerCase() : ''
}

function join(parts: readonly string[]): string {
  let text = ''
  for (const part of parts) {
    const longer = text === '' ? part : `${text} ${part}`
    if (longer.length > LONGEST) break
    text = longer
  }
  return text
}
