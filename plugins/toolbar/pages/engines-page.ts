import type { Engine } from '../../../src/index.ts'
import { type Html, html } from '../../web/html.ts'
import { optionsOf } from './engine-options.ts'
import { count, duration } from './format.ts'
import { layout } from './layout.ts'
import { engineName } from './marks.ts'
import type { Site } from './site.ts'

/** The engines: what they are, how busy they are, and who holds their connections. */
export function enginesPage(site: Site): string {
  const { base, sqlAssist } = site
  const { engines, sessions, requestProperty } = sqlAssist

  return layout(base, {
    title: 'Engines',
    current: 'engines',
    live: { url: `${base}/engines`, kinds: ['entry'] },
    content: html`<h1>Engines</h1>
<p class="quiet above">${count(engines.size, 'engine')} in process <strong>${process.pid}</strong>, on <code>request.${requestProperty}</code>; ${count(sessions.open, 'session')} open in ${count(sessions.scopes, 'scope')}, ${sessions.holding} holding a connection.</p>
<div class="columns wide-columns">${[...engines].map(engine => card(site, engine))}</div>`,
  })
}

function card(site: Site, engine: Engine): Html {
  const { engines } = site.sqlAssist
  const badges = [
    isDefault(site, engine) && 'default',
    engine.readOnly && 'read-only',
    engine.autocommit && 'autocommit',
    engine.joins && 'joins',
  ]
  return html`<section class="card" aria-labelledby="engine-${[...engines].indexOf(engine as never)}"><h2 id="engine-${[...engines].indexOf(engine as never)}">${engineName(site.sqlAssist, engine.name)} <span class="chip">${dialectOf(engine)}</span>${badges.map(badge => badge && html` <span class="chip">${badge}</span>`)}</h2>
${pool(engine)}
<dl class="facts small">${optionsOf(engine).map(([name, value]) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
${connections(site, engine)}</section>`
}

function isDefault({ sqlAssist }: Site, engine: Engine): boolean {
  try {
    return (sqlAssist.engines.get() as Engine) === engine
  } catch {
    // With several engines there need not be one.
    return false
  }
}

function dialectOf(engine: Engine): string {
  try {
    return engine.dialect
  } catch {
    return 'not started'
  }
}

/** The numbers say the same as the picture. */
function pool({ figures }: Engine): Html {
  const { used, idle, waiting, max } = figures
  const open = used + (idle ?? 0)
  const width = Math.max(max ?? 0, open, 1)
  const share = (of: number): string => `${((of / width) * 100).toFixed(1)}%`
  return html`<p class="pool"><svg width="100%" height="8" aria-hidden="true"><rect class="track" width="100%" height="8" rx="3"/><rect class="idle" width="${share(open)}" height="8" rx="3"/><rect class="used" width="${share(used)}" height="8" rx="3"/></svg>
<span><strong>${used}</strong> used</span> <span><strong>${idle ?? '–'}</strong> idle</span> <span${waiting > 0 && html` class="alarm"`}><strong>${waiting}</strong> waiting</span> <span><strong>${max ?? '–'}</strong> at most</span></p>`
}

function connections({ sqlAssist }: Site, engine: Engine): Html {
  const now = performance.now()
  const held = sqlAssist.sessions
    .list()
    .filter(session => session.engine === engine.name)
    .flatMap(({ owner, connections }) => connections.map(connection => ({ owner, ...connection })))
  const list = engine.connections()
  if (list.length === 0) return html`<p class="quiet">No connection is open.</p>`
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Connections of ${engine.name}"><table class="small"><caption class="unseen">Connections of ${engine.name}</caption><thead><tr><th scope="col">Server</th><th scope="col" class="number">Backend</th><th scope="col">Held by</th><th scope="col" class="number">For</th></tr></thead>
<tbody>${list.map(({ server, processId, inUse, since }) => {
    const holder = held.find(
      one => one.server === server && one.processId === processId && one.since === since && inUse,
    )
    return html`<tr><td>${server}</td><td class="number">${processId ?? '–'}</td><td>${inUse ? (holder?.owner ?? 'in use') : html`<span class="quiet">idle</span>`}</td><td class="number">${since === undefined ? '–' : duration(now - since)}</td></tr>`
  })}</tbody></table></div>`
}
