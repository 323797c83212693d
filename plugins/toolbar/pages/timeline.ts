import type { SqlAssist } from '../../../src/index.ts'
import { type Html, html } from '../../web/html.ts'
import type { Entry, SessionRecord, StatementRecord, WaitRecord } from '../records.ts'
import { duration } from './format.ts'
import { engineClass } from './marks.ts'
import { statementUrl } from './statement-pages.ts'

// Pixels. Sideways everything is a share of the request's duration, so the picture fits every screen and its texts stay as large.
const AXIS = 22
const LABEL = 20
const BAR = 12
const STEP = 16
const GAP = 10

type Item = StatementRecord | WaitRecord

interface Lane {
  readonly engine: string
  /** What went on side by side is below each other. */
  readonly rows: readonly (readonly Item[])[]
  readonly session: SessionRecord | undefined
  readonly top: number
}

/** Nobody tells more of them apart. */
const MOST = 2_000

/**
 * What happened when, an engine below the other. It is for eyes only: the list of statements says the same, so that it is hidden
 * from those who do not see it.
 *
 * @param page of the list of statements, to which it leads
 */
export function timeline(sqlAssist: SqlAssist, entry: Entry, page: number): Html {
  const total = lengthOf(entry)
  const lanes = lanesOf(entry)
  const last = lanes.at(-1)
  if (last === undefined) return html`<p class="empty">No engine was used.</p>`
  const height = last.top + heightOf(last)
  return html`<figure class="card picture">
<svg class="timeline" width="100%" height="${height}" aria-hidden="true" focusable="false">
<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hatch" width="2.5" height="5"/></pattern></defs>
${ticks(total).map(
  tick =>
    html`<line class="grid" x1="${share(tick, total)}" x2="${share(tick, total)}" y1="${AXIS - 4}" y2="${height}"/><text class="tick" x="${share(tick, total)}" y="12" dx="${tick === 0 ? 0 : 3}">${tick === 0 ? '0' : duration(tick)}</text>`,
)}
${lanes.map(lane => laneOf(lane, total, page, engineClass(sqlAssist, lane.engine)))}
</svg>
<figcaption class="legend"><span><svg width="14" height="10" aria-hidden="true"><rect class="bar e0" x="1" y="1" width="12" height="8" rx="2"/></svg>statement</span><span><svg width="14" height="10" aria-hidden="true"><rect class="bar failed" x="1" y="1" width="12" height="8" rx="2"/></svg>failed</span><span><svg width="14" height="10" aria-hidden="true"><rect class="wait" x="1" y="1" width="12" height="8" rx="2"/></svg>waited for a connection</span><span><svg width="14" height="10" aria-hidden="true"><rect class="span e0" x="1" y="1" width="12" height="8" rx="2"/></svg>transaction</span><span><span class="mark commit" aria-hidden="true">✓</span>commit</span><span><span class="mark rollback" aria-hidden="true">✗</span>rollback</span><span>The list of statements says the same in words.</span></figcaption></figure>`
}

function laneOf({ engine, rows, session, top }: Lane, total: number, page: number, colour: string): Html {
  const y = top + LABEL
  const height = rows.length * STEP - (STEP - BAR)
  return html`<text class="lane" x="0" y="${top + 13}">${engine}</text>
<rect class="track" x="0" y="${y - 3}" width="100%" height="${height + 6}" rx="3"/>
${transactionsOf(session, rows).map(
  ({ from, to }) =>
    html`<rect class="span ${colour}" x="${share(from, total)}" y="${y - 3}" width="${share(to - from, total)}" height="${height + 6}" rx="3"/>`,
)}
${rows.map((row, index) => row.map(item => itemOf(item, total, page, y + index * STEP, colour)))}
${(session?.ends ?? []).map(end => endMark(end, total, y, height))}`
}

function itemOf(item: Item, total: number, page: number, y: number, colour: string): Html {
  const { at, duration: ms = total - at, error } = item
  const box = html`x="${share(at, total)}" y="${y}" width="${share(ms, total)}" height="${BAR}" rx="2"`
  if (!('sql' in item)) {
    const fate = error === undefined ? '' : `, in vain: ${error}`
    return html`<rect class="wait" ${box}><title>${`Waited ${duration(ms)} for a connection${fate}`}</title></rect>`
  }
  return html`<a href="${statementUrl(item.number, page)}" tabindex="-1"><rect class="bar ${error === undefined ? colour : 'failed'}" ${box}><title>${titleOf(item)}</title></rect></a>`
}

function endMark(end: SessionRecord['ends'][number], total: number, y: number, height: number): Html {
  const x = share(endOf(end), total)
  const anchor = endOf(end) > total * 0.97 ? 'end' : 'middle'
  return html`<g class="${end.is}"><title>${`${end.is}, ${duration(end.duration)}`}</title><line x1="${x}" x2="${x}" y1="${y - 6}" y2="${y + height + 4}"/><text class="end" x="${x}" y="${y - 8}" text-anchor="${anchor}">${end.is === 'commit' ? '✓' : '✗'}</text></g>`
}

function titleOf({ number, at, duration: ms, sql, error, server }: StatementRecord): string {
  const fate = error === undefined ? '' : `\nfailed: ${error}`
  return `${number}. at ${duration(at)}, took ${duration(ms)}, on ${server}${fate}\n${sql.slice(0, 300)}`
}

function lengthOf(entry: Entry): number {
  const ends = [
    ...entry.statements.map(endOf).filter(Number.isFinite),
    ...entry.waits.map(endOf),
    ...entry.sessions.flatMap(({ at, ends }) => [at, ...ends.map(endOf)]),
  ]
  return Math.max(entry.duration ?? 0, 0.001, ...ends)
}

function lanesOf({ sessions, statements, waits }: Entry): Lane[] {
  const names = new Set([...sessions, ...statements, ...waits].map(({ engine }) => engine))
  let top = AXIS
  return [...names].map(engine => {
    const lane = {
      engine,
      rows: rowsOf([...waits, ...statements.slice(0, MOST)].filter(one => one.engine === engine)),
      session: sessions.find(one => one.engine === engine),
      top,
    }
    top += heightOf(lane) + GAP
    return lane
  })
}

function heightOf({ rows }: Pick<Lane, 'rows'>): number {
  return LABEL + rows.length * STEP + 4
}

/** Each in the first row that is free by then. */
function rowsOf(items: Item[]): Item[][] {
  const rows: Item[][] = []
  for (const item of items.sort((a, b) => a.at - b.at)) {
    const free = rows.find(row => endOf(row.at(-1) as Item) <= item.at + 0.001)
    if (free === undefined) rows.push([item])
    else free.push(item)
  }
  return rows.length === 0 ? [[]] : rows
}

function endOf({ at, duration }: { readonly at: number; readonly duration: number | undefined }): number {
  return at + (duration ?? Number.POSITIVE_INFINITY)
}

/** From the first statement in a transaction to its end. */
function transactionsOf(
  session: SessionRecord | undefined,
  rows: Lane['rows'],
): { from: number; to: number }[] {
  const inside = rows
    .flat()
    .filter(item => 'sql' in item && item.inTransaction)
    .map(({ at }) => at)
    .sort((a, b) => a - b)
  let after = 0
  return (session?.ends ?? []).flatMap(end => {
    const to = endOf(end)
    const from = inside.find(at => at >= after && at <= to)
    after = to
    return from === undefined ? [] : [{ from, to }]
  })
}

/** When a statement ran, for the line that it has in the list. */
export function waterfall(sqlAssist: SqlAssist, entry: Entry, statement: StatementRecord): Html {
  const total = lengthOf(entry)
  const { at, duration: ms = total - at, error, engine } = statement
  const colour = error === undefined ? engineClass(sqlAssist, engine) : 'failed'
  return html`<svg class="fall" width="100%" height="8" aria-hidden="true"><rect class="track" y="3" width="100%" height="2"/><rect class="bar ${colour}" x="${share(at, total)}" width="${share(ms, total)}" y="1" height="6" rx="1.5"/></svg>`
}

/** About five round numbers. */
function ticks(total: number): number[] {
  const rough = total / 5
  const power = 10 ** Math.floor(Math.log10(rough))
  const step = [1, 2, 5, 10].map(factor => factor * power).find(size => size >= rough) ?? rough
  const found: number[] = []
  // The last one would have no place for its text.
  for (let tick = 0; tick < total * 0.93; tick += step) found.push(tick)
  return found
}

function share(ms: number, total: number): string {
  return `${Math.max(0, Math.min(100, (ms / total) * 100)).toFixed(2)}%`
}
