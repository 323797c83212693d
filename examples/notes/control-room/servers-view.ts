import { type Html, html } from '../html.ts'
import type { Action } from './cluster.ts'
import type { ControlRoom } from './room.ts'
import type { ServerState, ServerView } from './servers.ts'
import { replication, wires } from './wires.ts'

const ENGINES = [
  { name: 'writer', does: 'one transaction for each request' },
  { name: 'logger', does: 'keeps what a rollback takes away' },
  { name: 'reader', does: 'reads from what is fresh enough' },
] as const

const STATES: Record<ServerState, string> = {
  online: 'online',
  paused: 'replay paused',
  lagging: 'late',
  joining: 'joining',
  down: 'down',
  draining: 'draining',
}

const LABELS: Record<Action, string> = {
  pause: 'Pause replay',
  resume: 'Resume replay',
  kill: 'Kill',
  start: 'Start again',
}

/** Engines on the left, servers on the right, and between them the ways that statements take. */
export function serverMap(room: ControlRoom): Html {
  const servers = room.servers()
  return html`
<div class="map n${servers.length}">
  <ul class="engines" aria-label="Engines of the app">${ENGINES.map(
    ({ name, does }) =>
      html`<li class="engine-port" data-engine="${name}"><strong>${name}</strong> <span>${does}</span></li>`,
  )}</ul>
  ${wires(servers)}
  <ul class="servers" aria-label="Servers">${servers.map(server => serverCard(server, room))}</ul>
  ${replication(servers)}
</div>`
}

function serverCard(server: ServerView, room: ControlRoom): Html {
  const { name, state } = server
  return html`
<li class="server" data-server="${name}" data-state="${state}">
  <div data-part="figures-${name}">${figures(server, room.feed.count(name))}</div>
  <div class="buttons" data-part="buttons-${name}">${serverButtons(server)}</div>
</li>`
}

/** Its name, how it is, and what it has done. */
export function figures({ name, isPrimary, state, reason, lag }: ServerView, served: number): Html {
  return html`<h3><span class="lamp"></span>${name} <span class="pill">${isPrimary ? 'accepts writes' : STATES[state]}</span></h3>
<p class="served"><strong>${served}</strong> ${served === 1 ? 'statement' : 'statements'}<span class="lag">${lagText(isPrimary, state, lag, reason)}</span></p>`
}

function lagText(isPrimary: boolean, state: ServerState, lag: ServerView['lag'], reason = ''): string {
  if (isPrimary) return 'the one that all others follow'
  if (state === 'down') return 'no answer; reads go elsewhere'
  if (state === 'joining') return 'has begun; not asked for reads yet'
  if (lag === undefined) return reason
  if (lag.bytes === 0) return state === 'paused' ? 'nothing missed so far' : 'has everything'
  const late = lag.ms < 1_000 ? '' : `, ${Math.floor(lag.ms / 1_000)} s`
  return `${bytes(lag.bytes)}${late} behind${state === 'lagging' ? '; no reads' : ''}`
}

function bytes(count: number): string {
  return count < 1_024 ? `${count} B` : `${Math.round(count / 1_024)} kB`
}

export function serverButtons({ name, actions }: ServerView): Html {
  return html`${actions.map(
    action =>
      html`<form method="post" action="/servers/${name}/${action}"><button id="${action}-${name}" class="small ${action}" aria-label="${LABELS[action]} ${action === 'kill' || action === 'start' ? '' : 'of '}${name}">${LABELS[action]}</button></form>`,
  )}`
}

/** What the whole application has come through. */
export function totals({ answered, failed }: ControlRoom): Html {
  return html`<span><strong>${answered}</strong> requests answered</span> <span class="${failed > 0 ? 'bad' : 'good'}"><strong>${failed}</strong> server errors</span>`
}
