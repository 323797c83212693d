import { type Html, html } from '../html.ts'
import type { ServerView } from './servers.ts'

// The drawing is as high as the cards beside it: style.css and these numbers (px at 16 px, so 1/16 rem) belong together.

/** In a wide window: the servers' cards share the height, engines are a third of it each. */
const WIDE = { width: 240, gap: 12, heights: [216, 216, 276, 360] }
/** On a phone: cards below each other, the ways to the left of them. */
const NARROW = { width: 40, gap: 12, card: 160 }

interface Way {
  readonly engine: string
  readonly server: string
  readonly state: string
  readonly path: string
}

/** Which engine sends statements to which server; the same drawing twice, for wide windows and phones. */
export function wires(servers: readonly ServerView[]): Html {
  const height = heightOf(servers)
  const narrow = servers.length * (NARROW.card + NARROW.gap) - NARROW.gap
  return html`
<svg class="wires wide-only" viewBox="0 0 ${WIDE.width} ${height}" aria-hidden="true">${ways(servers, curve)}</svg>
<svg class="wires narrow-only" viewBox="0 0 ${NARROW.width} ${narrow}" aria-hidden="true">${ways(servers, branch)}</svg>`
}

/** What the primary sends to its standbys. */
export function replication(servers: readonly ServerView[]): Html {
  const height = heightOf(servers)
  return html`
<svg class="replication wide-only" viewBox="0 0 56 ${height}" aria-hidden="true">${servers.flatMap(
    ({ name, isPrimary, state }, index) => {
      if (isPrimary) return []
      const [from, to] = [center(0, servers.length), center(index, servers.length)]
      const bulge = 22 + 26 * (index - 1)
      return html`<path data-server="${name}" data-state="${state}" d="M0,${from} C${bulge},${from} ${bulge},${from} ${bulge},${from + 24} V${to - 24} C${bulge},${to} ${bulge},${to} 3,${to}"/>`
    },
  )}</svg>`
}

function ways(servers: readonly ServerView[], draw: typeof curve): Html[] {
  const all = servers.flatMap(({ name, isPrimary, state }, index): Way[] => {
    const count = servers.length
    const engines = isPrimary ? ['writer', 'logger', 'reader'] : ['reader']
    return engines.map(engine => ({ engine, server: name, state, path: draw(engine, index, count) }))
  })
  return all.map(
    ({ engine, server, state, path }) =>
      html`<path data-engine="${engine}" data-server="${server}" data-state="${state}" d="${path}"/>`,
  )
}

const LANES = ['writer', 'logger', 'reader']

function curve(engine: string, index: number, count: number): string {
  const lane = LANES.indexOf(engine)
  const from = (heightOf({ length: count }) * (2 * lane + 1)) / 6
  // Three of them end at the primary, a little apart.
  const to = center(index, count) + (index === 0 ? (lane - 1) * 14 : 0)
  return `M0,${from} C${WIDE.width * 0.55},${from} ${WIDE.width * 0.45},${to} ${WIDE.width},${to}`
}

function branch(engine: string, index: number): string {
  const lane = LANES.indexOf(engine)
  const x = 6 + lane * 9
  const to = index * (NARROW.card + NARROW.gap) + 30 - (index === 0 ? (lane - 1) * 9 : 0)
  return `M${x},0 V${to - 8} Q${x},${to} ${x + 8},${to} H${NARROW.width}`
}

function heightOf({ length }: { readonly length: number }): number {
  return WIDE.heights[length] ?? length * 112 + (length - 1) * WIDE.gap
}

function center(index: number, count: number): number {
  const card = (heightOf({ length: count }) - WIDE.gap * (count - 1)) / count
  return Math.round(index * (card + WIDE.gap) + card / 2)
}
