import { type Html, html } from '../../web/html.ts'
import type { Entry, StatementRecord } from '../records.ts'
import { waysToExplain } from './explain.ts'
import { count, duration, shortened } from './format.ts'
import { engineName } from './marks.ts'
import type { Site } from './site.ts'
import { sqlBlock, sqlLine } from './sql-view.ts'
import { PAGE, pageLinks, pageOf } from './statement-pages.ts'
import { waterfall } from './timeline.ts'
import { isSlow } from './warnings.ts'

/** The statements of an entry, each on a line that opens. */
export function statementList(site: Site, entry: Entry, page: number, token: string): Html {
  const { statements, dropped } = entry
  if (statements.length + dropped === 0) return html`<p class="empty">No SQL was sent.</p>`
  const pages = pageOf(statements.length)
  const first = (page - 1) * PAGE
  const shown = statements.slice(first, first + PAGE)
  return html`${pages > 1 && pageLinks(page, pages)}<ol class="statements card flush" start="${first + 1}">${shown.map(
    statement => item(site, entry, statement, token),
  )}</ol>${dropped > 0 && html`<p class="notice warn">${count(dropped, 'further statement')} not kept: too many.</p>`}`
}

function item(site: Site, entry: Entry, statement: StatementRecord, token: string): Html {
  const { number, engine, server, dialect, sql, text, error, repeats } = statement
  return html`<li><details class="statement" data-key="s${number}">
<summary><span class="index">${number}</span><span class="where">${engineName(site.sqlAssist, engine)}${server !== 'primary' && html`<span class="quiet">${server}</span>`}</span>${sqlLine(text ?? sql, dialect)}<span class="marks">${
    repeats > 1 && html`<span class="chip warn">N+1 ×${repeats}</span>`
  }${error !== undefined && html`<span class="chip bad">error</span>`}</span>${waterfall(site.sqlAssist, entry, statement)}<span class="took${isSlow(statement) && ' slow'}">${statement.duration === undefined ? (error === undefined ? 'running' : '–') : duration(statement.duration)}</span></summary>
<div class="body" id="s${number}">
${error !== undefined && html`<p class="notice bad">${shortened(error, 2_000)}</p>`}
${repeats > 1 && html`<p class="notice warn">Likely N+1: sent ${repeats} times${statement.origin !== undefined && ` from ${statement.origin}`}</p>`}
${sqlBlock(text ?? sql, dialect)}
${values(statement)}
${facts(statement)}
${site.explain && explainForm(site, entry, statement, token)}
</div></details></li>`
}

function values({ parameters }: StatementRecord): Html | undefined {
  if (parameters === undefined || parameters.length === 0) return undefined
  return html`<p class="values"><span class="quiet">Parameters</span> ${parameters.map(
    (value, index) =>
      html`<span class="value"><span class="quiet">$${index + 1}</span> <code>${shortened(value, 500)}</code></span> `,
  )}</p>`
}

function facts(statement: StatementRecord): Html {
  const { server, host, processId, at, rows, inTransaction, origin } = statement
  const list: [string, string | number | undefined][] = [
    ['Server', host === undefined ? server : `${server} (${host})`],
    ['Backend', processId],
    ['At', `+${duration(at)}`],
    ['Took', duration(statement.duration)],
    ['Rows', rows],
    ['Transaction', inTransaction ? 'yes' : 'no'],
    ['From', origin],
  ]
  return html`<dl class="facts small">${list
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`
}

/** The browser sends nothing but which statement it is. */
function explainForm(
  { base, parameters }: Site,
  { id }: Entry,
  statement: StatementRecord,
  token: string,
): Html {
  const way = waysToExplain(statement, parameters)
  if (way.is === 'none') return html`<p class="quiet">${way.reason}</p>`
  return html`<form class="explain" method="post" action="${base}/requests/${id}/explain"><input type="hidden" name="_csrf" value="${token}"><input type="hidden" name="statement" value="${statement.number}"><button aria-label="${way.label} of statement ${statement.number}">${way.label}</button> <span class="quiet">${way.note}</span></form><div class="plan-place" data-key="plan${statement.number}"></div>`
}
