import { type Html, html } from '../html.ts'
import type { SentStatement, Served } from './feed.ts'
import { highlighted } from './sql-view.ts'

/** Requests, and of each its statements and reasons. */
const SHOWN = { requests: 8, statements: 9, reasons: 4 }

/** What open pages ask for by themselves: it comes between the requests of whoever presses a button. */
const BY_ITSELF = 'GET /latest'

/** Requests that follow each other and did the same: shown once. */
interface Group {
  readonly newest: Served
  readonly all: Served[]
}

/** Which server each statement went to, the newest request first. */
export function feedView(requests: readonly Served[]): Html {
  if (requests.length === 0) {
    return html`<p class="empty">Nothing yet. Write a note: every statement shows up here, with the server that it went to.</p>`
  }
  return html`<ol class="feed">${group(requests).slice(0, SHOWN.requests).map(requestItem)}</ol>`
}

function group(requests: readonly Served[]): Group[] {
  const groups: Group[] = []
  for (const request of requests) {
    const last =
      request.label === BY_ITSELF
        ? groups.at(-1)
        : groups.findLast(({ newest }) => newest.label !== BY_ITSELF)
    if (last !== undefined && isAlike(last.newest, request)) last.all.push(request)
    else groups.push({ newest: request, all: [request] })
  }
  return groups
}

function isAlike(a: Served, b: Served): boolean {
  return a.label === b.label && shapeOf(a) === shapeOf(b)
}

/** What it did, wherever it did it. */
function shapeOf({ statements, committed, rolledBack }: Served): string {
  const sent = statements.map(({ engine, sql, hasFailed }) => [engine, sql, hasFailed])
  return JSON.stringify([sent, committed, rolledBack])
}

function requestItem({ newest, all }: Group): Html {
  const [method = '', path = ''] = newest.label.split(' ')
  const iso = newest.at.toISOString()
  const shown = newest.statements.slice(0, SHOWN.statements)
  const more = newest.more + newest.statements.length - shown.length
  return html`
<li class="request">
  <p class="line"><code class="verb">${method}</code> <code class="path-of">${path}</code>${all.length > 1 && html` <span class="times">× ${all.length}</span>`} ${verdict(newest)} <time datetime="${iso}">${iso.slice(11, 19)}</time></p>
  <ul class="sent">${legsOf(shown, all).map(legItem)}</ul>
  ${more > 0 && html`<p class="why">and ${more} more</p>`}
  ${reasonsOf(all).map(([way, reason]) => html`<p class="why"><span class="because">${way}:</span> ${reason}</p>`)}
</li>`
}

/** Statements behind each other that went the same way. */
interface Leg {
  readonly engine: string
  /** How many of the group's requests sent them where. */
  readonly servers: readonly (readonly [name: string, count: number])[]
  readonly statements: SentStatement[]
}

function legsOf(statements: readonly SentStatement[], all: readonly Served[]): Leg[] {
  const legs: Leg[] = []
  for (const [index, statement] of statements.entries()) {
    const counts = new Map<string, number>()
    for (const served of all) {
      const { server } = served.statements[index] ?? statement
      counts.set(server, (counts.get(server) ?? 0) + 1)
    }
    const leg = { engine: statement.engine, servers: [...counts].sort(([a], [b]) => (a < b ? -1 : 1)) }
    const last = legs.at(-1)
    if (last !== undefined && isSameWay(last, leg)) last.statements.push(statement)
    else legs.push({ ...leg, statements: [statement] })
  }
  return legs
}

function isSameWay(a: Pick<Leg, 'engine' | 'servers'>, b: Pick<Leg, 'engine' | 'servers'>): boolean {
  return a.engine === b.engine && JSON.stringify(a.servers) === JSON.stringify(b.servers)
}

function verdict({ committed, rolledBack, outcome }: Served): Html | undefined {
  const because = outcome === undefined ? '' : ` – ${outcome}`
  if (rolledBack.length > 0)
    return html`<span class="status bad">rolled back</span> <span class="because">${because.slice(3)}</span>`
  if (committed.length > 0)
    return html`<span class="status good">committed</span> <span class="because">${because.slice(3)}</span>`
  return undefined
}

function legItem({ engine, servers, statements }: Leg): Html {
  const isOne = servers.length === 1 && servers[0]?.[1] === 1
  return html`
<li>
  <p class="leg"><span class="engine-name">${engine}</span> <span class="arrow" aria-hidden="true">→</span> <span class="unseen">to</span> ${servers.map(([name, count]) => html`<span class="chip" data-server="${name}">${name}${!isOne && html` <b>${count}</b>`}</span> `)}</p>
  <ul class="statements">${statements.map(
    ({ sql, duration, hasFailed }) =>
      html`<li><code class="sql" translate="no">${highlighted(sql)}</code> <span class="ms">${hasFailed ? 'failed' : `${duration.toFixed(1)} ms`}</span></li>`,
  )}</ul>
</li>`
}

/** Why they went there at first; that a request then stayed goes without saying. */
function reasonsOf(all: readonly Served[]): (readonly [way: string, reason: string])[] {
  const reasons = new Map<string, readonly [string, string]>()
  for (const { routed } of all) {
    const ways = new Set<string>()
    for (const { engine, server, reason } of routed) {
      const way = `${engine} → ${server}`
      if (!ways.has(way)) reasons.set(`${way} ${reason}`, [way, reason])
      ways.add(way)
    }
  }
  return [...reasons.values()].slice(0, SHOWN.reasons)
}
