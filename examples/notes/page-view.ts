import { banner, type Message } from './banner.ts'
import type { EngineReport } from './engine-report.ts'
import type { AuditLine, Author } from './entities.ts'
import { type Html, html } from './html.ts'
import { layout } from './layout.ts'

/** What was typed into a form that could not be saved. */
export interface Failed {
  readonly author?: { readonly name?: string }
  readonly note?: { readonly author?: number; readonly title?: string; readonly text?: string }
}

/** Everything that the page of the notes shows. */
export interface PageData {
  readonly authors: readonly Author[]
  readonly lines: readonly AuditLine[]
  readonly engines: readonly EngineReport[]
  readonly message: Message | undefined
  readonly failed: Failed | undefined
}

export function notesPage(data: PageData): string {
  const { authors, lines, engines, message, failed } = data
  return layout({
    title: `${message?.kind === 'problem' ? 'Not saved – ' : ''}Notes`,
    main: html`
  <h1>One request, three engines</h1>
  <p class="lead">Changes go through a <strong>writer</strong> and are committed before the answer leaves. Reads come from a <strong>reader</strong>, which may be a standby; a cookie tells it what you have written, so you never miss it. A <strong>logger</strong> keeps a line of every attempt, even of one that was rolled back.</p>
  ${message && banner(message)}
  <section aria-labelledby="engines">
    <h2 id="engines">What the engines did for this page</h2>
    <div class="cards">${engines.map(engine => engineCard(engine, failed !== undefined))}</div>
  </section>
  <div class="columns">
    <section aria-labelledby="authors">
      <h2 id="authors">Authors and their notes</h2>
      ${authors.length > 0 ? authors.map(authorCard) : html`<p class="empty">Nobody yet. Add the first author.</p>`}
    </section>
    <section aria-labelledby="add">
      <h2 id="add">Add</h2>
      ${authorForm(failed?.author)}
      ${noteForm(authors, failed?.note)}
    </section>
  </div>
  <section aria-labelledby="audit">
    <h2 id="audit">Audit trail</h2>
    ${lines.length > 0 ? auditTable(lines) : html`<p class="empty">No attempts yet.</p>`}
  </section>`,
    footer: html`
  <p>This page has no scripts. <a href="/docs">Try the API</a> to rename, transfer and delete. <a href="/">Watch where each statement goes</a>.</p>`,
  })
}

function engineCard({ name, kind, server, isStandby, status, pool }: EngineReport, hasFailed: boolean): Html {
  const isUsed = status !== 'INIT'
  const did = {
    reader: 'Read the authors and their notes.',
    writer: isUsed ? 'Tried to save, and rolled back.' : 'Had nothing to do: no connection, no transaction.',
    logger: hasFailed ? 'Saved a line of the attempt, and read the trail.' : 'Read the audit trail.',
  }
  return html`
<article class="card engine">
  <h3>${name} <span class="tag">${kind}</span></h3>
  <p class="did">${did[name]}</p>
  <dl>
    <div><dt>Status</dt><dd><span class="status ${isUsed ? 'good' : ''}">${status}</span> ${isUsed ? 'in use' : 'not used'}</dd></div>
    <div><dt>Server</dt><dd><code>${server}</code> ${isStandby ? 'standby' : 'primary'}</dd></div>
    <div><dt>Pool</dt><dd>${pool.used} of ${pool.max ?? '?'} in use, ${pool.idle ?? '?'} idle, ${pool.waiting} waiting</dd></div>
  </dl>
</article>`
}

function authorCard(author: Author): Html {
  const notes = author.notes.getItems()
  return html`
<article class="card author">
  <h3>${author.name} <span class="count">${notes.length === 1 ? '1 note' : `${notes.length} notes`}</span></h3>
  ${
    notes.length > 0 &&
    html`<ul>${notes.map(note => html`<li><strong>${note.title}</strong>${note.text && html`<p>${note.text}</p>`}</li>`)}</ul>`
  }
</article>`
}

function authorForm(failed: Failed['author']): Html {
  return html`
<form class="card" method="post" action="/page/authors">
  <h3>Author</h3>
  <label for="name">Name</label>
  <input id="name" name="name" required maxlength="80" autocomplete="off" aria-describedby="name-hint" value="${failed?.name}"${failed && invalid}>
  <p class="hint" id="name-hint">Add the same name twice to see a rollback: only the audit line stays.</p>
  <button>Add author</button>
</form>`
}

function noteForm(authors: readonly Author[], failed: Failed['note']): Html {
  if (authors.length === 0) return html`<p class="hint">Notes can be added when there is an author.</p>`
  return html`
<form class="card" method="post" action="/page/notes">
  <h3>Note</h3>
  <label for="author">Author</label>
  <select id="author" name="author" required>${authors.map(
    ({ id, name }) =>
      html`<option value="${id}"${Number(failed?.author) === id && selected}>${name}</option>`,
  )}</select>
  <label for="title">Title</label>
  <input id="title" name="title" required maxlength="120" autocomplete="off" value="${failed?.title}"${failed && invalid}>
  <label for="text">Text <span class="optional">optional</span></label>
  <textarea id="text" name="text" rows="3" maxlength="10000">
${failed?.text}</textarea>
  <button>Add note</button>
</form>`
}

const selected = html` selected`
const invalid = html` aria-invalid="true" aria-errormessage="problem" autofocus`

function auditTable(lines: readonly AuditLine[]): Html {
  return html`
<div class="card table">
<table>
  <caption>The last ${lines.length} attempts to change something, newest first. Times are UTC.</caption>
  <thead><tr><th scope="col">Time</th><th scope="col">Attempt</th><th scope="col" class="path">Path</th><th scope="col">Answer</th></tr></thead>
  <tbody>${lines.map(
    line => html`
  <tr>
    <td><time datetime="${line.at.toISOString()}">${line.at.toISOString().slice(11, 19)}</time></td>
    <td>${line.action}</td>
    <td class="path"><code>${line.target}</code></td>
    <td><span class="status ${line.status < 400 ? 'good' : 'bad'}">${line.status}</span> ${line.status < 400 ? 'committed' : 'rolled back'}</td>
  </tr>`,
  )}</tbody>
</table>
</div>`
}
