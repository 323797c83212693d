import type { SqlAssist } from '../../../src/index.ts'
import { type Html, html } from '../../web/html.ts'
import type { Entry } from '../records.ts'

// Small things that several pages show in the same way.

/** How many colours there are for engines. */
const COLOURS = 6

/** The class of an engine's colour: the same on every page. */
export function engineClass({ engines }: SqlAssist, engine: string): string {
  return `e${Math.max(0, (engines.names() as string[]).indexOf(engine)) % COLOURS}`
}

export function engineName(sqlAssist: SqlAssist, engine: string): Html {
  return html`<span class="engine ${engineClass(sqlAssist, engine)}">${engine}</span>`
}

/** The status of the answer; of a scope outside requests there is none. */
export function statusMark({ kind, status }: Entry): Html {
  if (kind === 'scope') return html`<span class="chip">scope</span>`
  if (status === undefined) return html`<span class="chip">…</span>`
  const kindOf = status >= 500 ? 'bad' : status >= 400 ? 'warn' : status >= 300 ? '' : 'good'
  return html`<span class="chip ${kindOf}">${status}</span>`
}

export function outcomeMark(sqlAssist: SqlAssist, { outcome, sessions }: Entry): Html {
  if (outcome === undefined) return html`<span class="quiet">–</span>`
  const isHarmless = sessions.every(({ engine }) => onlyReads(sqlAssist, engine))
  return html`${endMark(outcome.is, isHarmless)} <span class="quiet">${outcome.reason}</span>`
}

/** How a transaction has ended. Where nothing could be written, a rollback is how it should end. */
export function endMark(is: 'commit' | 'rollback', isHarmless: boolean): Html {
  const kind = is === 'commit' ? 'good' : isHarmless ? '' : 'bad'
  return html`<span class="chip ${kind}">${is}</span>`
}

export function onlyReads({ engines }: SqlAssist, engine: string): boolean {
  return engines.has(engine) && engines.get(engine).readOnly
}
