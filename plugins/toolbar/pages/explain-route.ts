import type { FastifyInstance } from 'fastify'
import { redact } from '../../../src/index.ts'
import { type Html, html } from '../../web/html.ts'
import type { Entry, StatementRecord } from '../records.ts'
import { planOf, type Way, waysToExplain } from './explain.ts'
import { shortened } from './format.ts'
import { layout } from './layout.ts'
import { engineName } from './marks.ts'
import { gonePage } from './request-routes.ts'
import { numberIn, type Site, send } from './site.ts'
import { loadFormatter } from './sql-format.ts'
import { sqlBlock } from './sql-view.ts'
import { statementUrl } from './statement-pages.ts'

type Form = { Params: { id: string }; Body: URLSearchParams }

/** What a server says of a statement. */
interface Answer {
  readonly plan?: readonly string[]
  readonly problem?: string
}

/** Adds `POST /requests/:id/explain`. Its form says which statement of ours is meant, and no SQL. */
export function addExplain(app: FastifyInstance, site: Site): void {
  app.post<Form>('/requests/:id/explain', async (request, reply) => {
    await loadFormatter()
    const entry = site.records.get(numberIn(request.params.id) ?? 0)
    const number = numberIn(request.body?.get('statement'))
    const statement = entry?.statements.find(one => one.number === number)
    if (entry === undefined || statement === undefined) return send(reply.code(404), gonePage(site))
    const way = waysToExplain(statement, site.parameters)
    const answer = way.is === 'none' ? { problem: way.reason } : await ask(site, statement, way.sql)
    return send(
      reply.code(answer.problem === undefined ? 200 : 422),
      planPage(site, entry, statement, way, answer),
    )
  })
}

async function ask({ sqlAssist }: Site, statement: StatementRecord, sql: string): Promise<Answer> {
  try {
    return { plan: await planOf(sqlAssist, statement, sql) }
  } catch (error) {
    const message = redact(error instanceof Error ? error.message : String(error))
    return { problem: /unrecognized EXPLAIN option "generic_plan"/.test(message) ? TOO_OLD : message }
  }
}

const TOO_OLD =
  'A plan without values needs PostgreSQL 16 or newer; with the option `parameters` the values are kept.'

function planPage(site: Site, entry: Entry, statement: StatementRecord, way: Way, answer: Answer): string {
  const { base, sqlAssist } = site
  const { number, engine, sql, text, dialect } = statement
  const title = `Plan of statement ${number}`
  const back = `${base}/requests/${entry.id}`
  return layout(base, {
    title,
    content: html`<p class="crumbs"><a href="${base}/">Requests</a> / <a href="${back}${statementUrl(number, 1)}">${entry.method} ${entry.route}</a></p>
<h1>${title} ${engineName(sqlAssist, engine)}</h1>
${sqlBlock(text ?? sql, dialect)}
<div id="plan">${planBlock(way, answer)}</div>`,
  })
}

function planBlock(way: Way, { plan, problem }: Answer): Html {
  if (problem !== undefined) return html`<p class="notice bad">${shortened(problem, 2_000)}</p>`
  const label = way.is === 'none' ? '' : way.label
  return html`<pre class="plan" tabindex="0" role="region" aria-label="${label}"><code>${shortened((plan ?? []).join('\n'), 100_000)}</code></pre>`
}
