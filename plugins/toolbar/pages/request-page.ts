import { type Html, html } from '../../web/html.ts'
import type { Entry, SessionRecord } from '../records.ts'
import { clock, count, duration, shortened } from './format.ts'
import { layout } from './layout.ts'
import { endMark, engineName, onlyReads, outcomeMark, statusMark } from './marks.ts'
import type { Site } from './site.ts'
import { statementList } from './statement-list.ts'
import { statementUrl } from './statement-pages.ts'
import { timeline } from './timeline.ts'
import { warningsOf } from './warnings.ts'

/** Everything that is known of one request or scope. */
export function requestPage(site: Site, entry: Entry, page: number, token: string): string {
  const { base } = site
  const { id, kind, method, route, statements } = entry
  return layout(base, {
    title: `${method} ${route}`.trim(),
    current: 'requests',
    live: {
      url: `${base}/requests/${id}${page === 1 ? '' : `?page=${page}`}`,
      kinds: ['entry', 'clear'],
      id,
    },
    content: html`<p class="crumbs"><a href="${base}/">Requests</a> / ${id}</p>
<h1><span class="method">${kind === 'scope' ? 'run' : method}</span> <span class="route">${route}</span> ${statusMark(entry)}</h1>
${summary(site, entry)}
${warnings(entry, page)}
<section aria-labelledby="timeline"><h2 id="timeline">Timeline</h2>${timeline(site.sqlAssist, entry, page)}</section>
<section aria-labelledby="statements"><h2 id="statements">Statements <span class="quiet">${statements.length + entry.dropped}</span></h2>${statementList(site, entry, page, token)}</section>
<section aria-labelledby="sessions"><h2 id="sessions">Engines</h2>${sessions(site, entry)}</section>
<div class="columns">${cards(site, entry)}</div>`,
  })
}

function summary(site: Site, entry: Entry): Html {
  const { url, startedAt, statements, waits } = entry
  const sum = (list: readonly { duration: number | undefined }[]): number =>
    list.reduce((total, { duration = 0 }) => total + duration, 0)
  const list: [string, Html | string][] = [
    [
      'Duration',
      html`<strong>${entry.duration === undefined ? 'running' : duration(entry.duration)}</strong>`,
    ],
    [
      'SQL',
      html`<strong>${duration(sum(statements))}</strong> <span class="quiet">${count(statements.length + entry.dropped, 'statement')}</span>`,
    ],
    ['Pool waits', html`<strong>${duration(sum(waits))}</strong>`],
    ['Outcome', outcomeMark(site.sqlAssist, entry)],
    ['Started', clock(startedAt)],
    ...(url === '' ? [] : [['Path', html`<code>${url}</code>`] as [string, Html]]),
  ]
  return html`<dl class="facts card">${list.map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>`
}

function warnings(entry: Entry, page: number): Html | undefined {
  const list = warningsOf(entry)
  if (list.length === 0) return undefined
  return html`<ul class="warnings" aria-label="Warnings">${list.map(
    ({ kind, text, statement }) =>
      html`<li class="notice ${kind === 'error' ? 'bad' : 'warn'}"><strong>${kind}</strong> ${shortened(text, 500)}${statement !== undefined && html` <a href="${statementUrl(statement, page)}">statement ${statement}</a>`}</li>`,
  )}</ul>`
}

/** Every engine of the application: those that were not used are INIT. */
function sessions({ sqlAssist }: Site, { sessions, statements }: Entry): Html {
  const names = new Set([...sqlAssist.engines.names(), ...sessions.map(({ engine }) => engine)] as string[])
  return html`<div class="card flush"><table><caption class="unseen">The sessions of the engines</caption><thead><tr><th scope="col">Engine</th><th scope="col">Status</th><th scope="col" class="number">Statements</th><th scope="col">Servers</th><th scope="col" class="number">Identity map</th><th scope="col">Transactions</th><th scope="col">Unflushed</th></tr></thead>
<tbody>${[...names].map(name => {
    const session = sessions.find(({ engine }) => engine === name)
    const own = statements.filter(({ engine }) => engine === name)
    const servers = [...new Set(own.map(({ server }) => server))].join(', ')
    return html`<tr><th scope="row">${engineName(sqlAssist, name)}</th><td><span class="state">${session?.status ?? 'INIT'}</span></td>${
      session === undefined
        ? html`<td colspan="5" class="quiet">not used</td>`
        : html`<td class="number" data-label="Statements">${own.length}</td><td>${servers || '–'}</td><td class="number" data-label="Identity map">${session.identityMap === undefined ? '–' : count(session.identityMap, 'entity', 'entities')}</td><td>${ends(session, onlyReads(sqlAssist, name))}</td><td${session.unflushed.length === 0 && html` class="none"`}>${session.unflushed.length > 0 ? html`<span class="chip warn">${session.unflushed.length}</span> ${shortened(session.unflushed.join(', '), 500)}` : '–'}</td>`
    }</tr>`
  })}</tbody></table></div>`
}

function ends({ ends }: SessionRecord, isHarmless: boolean): Html {
  if (ends.length === 0) return html`<span class="quiet">none</span>`
  return html`${ends.map(
    ({ is, at, duration: took, error }) =>
      html`<span class="end">${endMark(is, isHarmless)} <span class="quiet">at ${duration(at)}, took ${duration(took)}</span>${error !== undefined && html` <span class="chip bad">error</span> ${shortened(error, 300)}`}</span> `,
  )}`
}

function cards({ sqlAssist }: Site, { routes, waits, flags, segments, events, steps }: Entry): Html[] {
  const list: Html[] = []
  const card = (title: string, content: Html): void => {
    list.push(html`<section class="card"><h2>${title}</h2>${content}</section>`)
  }
  if (routes.length > 0) {
    card(
      'Routing',
      html`<ul class="lines">${routes.map(({ engine, server, reason, at }) => html`<li>${engineName(sqlAssist, engine)} <strong>${server}</strong> <span class="reason">${reason}</span> <span class="quiet end">+${duration(at)}</span></li>`)}</ul>`,
    )
  }
  if (waits.length > 0) {
    card(
      'Pool waits',
      html`<ul class="lines">${waits.map(({ engine, duration: took, error, at }) => html`<li>${engineName(sqlAssist, engine)} <strong>${duration(took)}</strong>${error !== undefined && html` <span class="chip bad">error</span> ${error}`} <span class="quiet end">+${duration(at)}</span></li>`)}</ul>`,
    )
  }
  if (steps.length > 0) {
    card(
      'Two-phase commit',
      html`<ol class="lines">${steps.map(({ step, engine, id, duration: took, error }) => html`<li><strong>${step}</strong> ${engineName(sqlAssist, engine)} <code>${id}</code>${error !== undefined && html` <span class="chip bad">error</span> ${error}`} <span class="quiet end">${duration(took)}</span></li>`)}</ol>`,
    )
  }
  if (flags.length > 0) {
    card(
      'Flags asked',
      html`<ul class="lines">${flags.map(({ name, value, times }) => html`<li><span>${name}</span> <code>${shortened(value, 300)}</code>${times > 1 && html` <span class="quiet end">${times} times</span>`}</li>`)}</ul>`,
    )
  }
  if (segments !== undefined) {
    card(
      'Segments',
      segments.length === 0
        ? html`<p class="quiet">In none.</p>`
        : html`<p class="chips">${segments.map(key => html`<span class="chip">${key}</span>`)}</p>`,
    )
  }
  if (events.length > 0) {
    card(
      'Events appended',
      html`<ol class="lines">${events.map(({ topic, originatorId, originatorVersion }) => html`<li><strong>${topic}</strong> <code>${originatorId}</code> <span class="quiet end">version ${originatorVersion}</span></li>`)}</ol>`,
    )
  }
  return list
}
