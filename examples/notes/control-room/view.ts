import { readFileSync } from 'node:fs'
import { banner, type Message } from '../banner.ts'
import { TOOLBAR } from '../debugging.ts'
import { type Html, html } from '../html.ts'
import { layout } from '../layout.ts'
import { applauseView } from './applause-view.ts'
import { feedView } from './feed-view.ts'
import { type FlagData, flagView } from './flag-view.ts'
import type { ControlRoom } from './room.ts'
import { serverMap, totals } from './servers-view.ts'

/** Keeps the parts of the page up to date in a browser, and lets statements fly. */
export const roomScript = readFileSync(new URL('./live.js', import.meta.url), 'utf8')
export const roomStyle = readFileSync(new URL('./style.css', import.meta.url), 'utf8')

/** What was typed into the form for a note. */
export interface Written {
  readonly name?: string
  readonly title?: string
}

export interface RoomData {
  readonly room: ControlRoom
  readonly flag: FlagData
  readonly message: Message | undefined
  /** Kept when it could not be saved. */
  readonly written: Written | undefined
  /** Whether there is a toolbar. */
  readonly debugging: boolean
}

export function roomPage({ room, flag, message, written, debugging }: RoomData): string {
  return layout({
    title: `${message?.kind === 'problem' ? 'Not saved – ' : ''}Notes – where each statement goes`,
    script: roomScript,
    css: roomStyle,
    main: html`
  <div class="hero">
    <h1>Watch every statement find its server</h1>
    <p class="lead">${started(room)} A write is committed on the <b data-server="primary">primary</b> before its answer leaves; a read goes to a standby that has what <em>you</em> have written.</p>
  </div>
  <div class="tries">
    ${writeForm(written)}
    ${room.hasButtons ? readForm : withoutButtons}
  </div>
  <section class="panel" id="servers" aria-labelledby="servers-title">
    <header><h2 id="servers-title">Where statements go</h2> <p class="totals" data-part="totals">${totals(room)}</p></header>
    <div id="message">${message ? banner(message) : html`<p class="banner idle">${room.hasButtons ? 'Write, read, pause or kill: what it does is said here.' : 'Write a note: its statements take these ways.'}</p>`}</div>
    ${serverMap(room)}
  </section>
  <div class="columns room">
    <section aria-labelledby="feed-title">
      <h2 id="feed-title">Which server each statement went to</h2>
      <div data-part="feed">${feedView(room.feed.requests)}</div>
    </section>
    <div class="aside">
      <div id="latest-part" data-part="latest" data-version="${room.version}">${flagView(flag, room.hasButtons)}</div>
      <section class="card" aria-labelledby="projection">
        <h2 id="projection">A projection</h2>
        <p>Applause is events; a projection counts each exactly once.</p>
        ${room.projected && html`<div data-part="applause">${applauseView(room.projected)}</div>`}
        <div class="row">${room.hasButtons && clapForm} <a href="/applause">Clap yourself</a></div>
      </section>
    </div>
  </div>
  ${room.hasButtons && experiments}
  ${elsewhere(debugging)}
  <p class="unseen" id="news" role="status"></p>`,
    footer: html`
  <p>Live where scripts are on; without them everything works as well: reload to see more. The SQL has no values in it. Times are UTC.</p>`,
  })
}

function started({ hasButtons }: ControlRoom): Html | false {
  return (
    hasButtons &&
    html`One PostgreSQL primary and two standbys, started by <code>npm start</code>, for you to disturb.`
  )
}

function writeForm(written: Written | undefined): Html {
  const invalid = written && html` aria-invalid="true" aria-errormessage="problem"`
  return html`
<form class="card try" method="post" action="/write">
  <div><label for="title">A note</label><input id="title" name="title" required maxlength="120" autocomplete="off" value="${written?.title ?? 'On the Analytical Engine'}"${invalid}></div>
  <div><label for="name">Your name</label><input id="name" name="name" required maxlength="80" autocomplete="off" value="${written?.name ?? 'Ada Lovelace'}"${invalid}></div>
  <button id="write">Write it</button>
</form>`
}

const readForm = html`
<form class="card try read" method="post" action="/reads">
  <button id="reads">Read 20 times</button>
  <p>as yourself: with the cookie that says what you have written</p>
</form>`

const withoutButtons = html`
<div class="card try read">
  <p>Buttons that pause and kill servers are there when the demo runs on servers of its own: <code>npm start</code>, without URLs in its environment.</p>
</div>`

const clapForm = html`<form method="post" action="/claps"><button class="small" id="claps">Five visitors clap</button></form>`

const experiments = html`
<section class="card below" aria-labelledby="experiments">
  <h2 id="experiments">Things to try</h2>
  <ol class="steps">
    <li><strong>Read your writes.</strong> Pause one standby’s replay, write a note, then read 20 times: the other standby answers all of them.</li>
    <li><strong>Nobody left.</strong> Pause both and write: your reads go to the primary. In a private window, where nobody has written, they stay on the standbys.</li>
    <li><strong>Failover of reads.</strong> Kill a standby and read: it is left out, and the count of server errors stays 0. Start it again, and it gets its share.</li>
    <li><strong>A rollback.</strong> Add the same author twice on the <a href="/notes-page">page of the notes</a>: the logger’s line stays.</li>
  </ol>
</section>`

const elsewhere = (debugging: boolean) => html`
<nav class="card below" aria-labelledby="elsewhere">
  <h2 id="elsewhere">Look further</h2>
  <ul class="links">
    ${debugging && html`<li><a href="${TOOLBAR}">Toolbar</a> <span>the last requests, statement by statement</span></li>`}
    <li><a href="/notes-page">Notes and audit trail</a> <span>three engines in one request</span></li>
    <li><a href="/applause">Applause</a> <span>events, live in every window</span></li>
    <li><a href="/docs">API</a> <span>every route, to try</span></li>
    <li><a href="/admin/flags/">Feature flags</a> <span>the terminal has the password</span></li>
  </ul>
  <p class="hint">In the repository: <code>docs/getting-started.md</code>, <code>docs/routing.md</code>, <code>docs/transactions.md</code>, <code>docs/events.md</code>, <code>examples/README.md</code>.</p>
</nav>`
