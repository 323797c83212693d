import type { Message } from '../banner.ts'

/** What a form has done, and what there is to see now. */
const DONE = {
  note: 'Saved. The writer had committed before the redirect to this page was sent.',
  reads: 'Twenty reads: the line “GET /notes × 20” below has which server answered how many of them.',
  claps:
    'Five visitors have clapped: five events in one transaction, which the projection has counted by now.',
  'no-note': 'There is no note to clap for yet. Write one first.',
  on: 'The flag is on, here and in every other process on this database.',
  off: 'The flag is off, here and in every other process on this database.',
  pause:
    'stands still now. Write a note and read: whoever has written is not sent there before it has the note.',
  resume: 'catches up, and serves whoever has written again.',
  kill: 'is gone. Read 20 times: nobody gets an error.',
  start: 'is up again, and serves reads as soon as it answers.',
  nothing: 'is in that state already.',
} as const

export type Done = keyof typeof DONE
export const DONES = Object.keys(DONE) as readonly Done[]

/** Where a form leads to. */
export function doneUrl(done: Done, server?: string): string {
  return `/?${new URLSearchParams({ did: done, ...(server && { server }) })}`
}

/** @param server a name that is known, where one is meant */
export function messageOf(done: Done, server: string | undefined): Message {
  const text = DONE[done]
  return { kind: 'success', text: server === undefined ? text : `${server} ${text}` }
}
