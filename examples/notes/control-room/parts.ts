import type { Html } from '../html.ts'
import { applauseView } from './applause-view.ts'
import { feedView } from './feed-view.ts'
import type { ControlRoom } from './room.ts'
import { figures, serverButtons, totals } from './servers-view.ts'

/** What is kept up to date in an open page, by the name that the page has for its place. The same for all visitors. */
export function partsOf(room: ControlRoom): Record<string, string> {
  const parts: Record<string, Html> = { totals: totals(room), feed: feedView(room.feed.requests) }
  for (const server of room.servers()) {
    parts[`figures-${server.name}`] = figures(server, room.feed.count(server.name))
    // Apart from the figures: a button that went away between the press and the release would do nothing.
    parts[`buttons-${server.name}`] = serverButtons(server)
  }
  if (room.projected !== undefined) parts.applause = applauseView(room.projected)
  return Object.fromEntries(Object.entries(parts).map(([name, { text }]) => [name, text]))
}
