import type { Engine, ReplicaInfo } from '../../../src/index.ts'
import { type Html, html } from '../../web/html.ts'
import type { ReplicaHistory } from '../records.ts'
import { bytes, clock, count, duration } from './format.ts'
import { lagPicture } from './lag-picture.ts'
import { layout } from './layout.ts'
import { engineName } from './marks.ts'
import type { Site } from './site.ts'

/** The replicas: how each of them is and was, and where reads have gone. */
export function replicasPage(site: Site): string {
  const { base, sqlAssist, records } = site
  const routed = [...sqlAssist.engines].filter(engine => engine.replicas.length > 0)
  const histories = records.replicas()
  return layout(base, {
    title: 'Replicas',
    current: 'replicas',
    live: { url: `${base}/replicas`, kinds: ['replica', 'clear'] },
    content: html`<h1>Replicas</h1>
${routed.length === 0 ? html`<p class="empty">No engine has replicas: give a read-only one the option <code>replicas</code>.</p>` : figures(site)}
${routed.map(
  engine =>
    html`<section aria-label="Replicas of ${engine.name}"><h2>${engineName(sqlAssist, engine.name)}</h2><div class="columns">${engine.replicas.map(
      replica =>
        card(
          engine,
          replica,
          histories.find(one => one.engine === engine.name && one.replica === replica.name),
        ),
    )}</div></section>`,
)}`,
  })
}

const STATES: Record<string, string> = { online: 'good', lagging: 'warn', down: 'bad', draining: '' }

export function stateChip(state: string): Html {
  return html`<span class="chip ${STATES[state] ?? ''}">${state}</span>`
}

function card(engine: Engine, replica: ReplicaInfo, history: ReplicaHistory | undefined): Html {
  const { name, state, reason, lag, inUse, waiting, weight } = replica
  const list: [string, string][] = [
    ['Lag', lag === undefined ? '–' : `${duration(lag.ms)}, ${bytes(lag.bytes)}`],
    ['In use', String(inUse)],
    ['Waiting', String(waiting)],
    ['Weight', String(weight)],
  ]
  return html`<section class="card" aria-label="${name}"><h3>${name} ${stateChip(state)}</h3>
${reason !== undefined && html`<p class="quiet">${reason}</p>`}
<dl class="facts small">${list.map(([term, value]) => html`<div><dt>${term}</dt><dd>${value}</dd></div>`)}</dl>
${history !== undefined && history.samples.length > 1 && html`${lagPicture(history)}${changes(engine, history)}`}</section>`
}

/** The same as the picture, in words. */
function changes(engine: Engine, { samples, replica }: ReplicaHistory): Html {
  return html`<details data-key="${engine.name} ${replica}"><summary>${count(samples.length, 'sample')}</summary><div class="scroll" tabindex="0" role="region" aria-label="Samples of ${replica}"><table class="small"><caption class="unseen">Samples of ${replica}, newest first</caption><thead><tr><th scope="col">At</th><th scope="col">State</th><th scope="col" class="number">Lag</th><th scope="col" class="number">Bytes</th></tr></thead><tbody>${samples
    .slice(-50)
    .reverse()
    .map(
      ({ at, state, lag }) =>
        html`<tr><td>${clock(at)}</td><td>${stateChip(state)}</td><td class="number">${duration(lag?.ms)}</td><td class="number">${lag === undefined ? '–' : bytes(lag.bytes)}</td></tr>`,
    )}</tbody></table></div></details>`
}

function figures({ sqlAssist }: Site): Html {
  const { reads, waited, repeated, tokens } = sqlAssist.routing
  const list: [string, number][] = [
    ['Reads on replicas', reads.replica],
    ['Reads on the primary', reads.primary],
    ['Waited for a replica', waited],
    ['Run again elsewhere', repeated],
    ['Tokens accepted', tokens.accepted],
    ['malformed', tokens.malformed],
    ['forged', tokens.forged],
    ['expired', tokens.expired],
  ]
  return html`<dl class="facts card" aria-label="Routing">${list.map(([name, number]) => html`<div><dt>${name}</dt><dd><strong>${number}</strong></dd></div>`)}</dl>`
}
