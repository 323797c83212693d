import type { FastifyReply, FastifyRequest } from 'fastify'
import { html } from '../../web/html.ts'
import type { FlagClient } from '../client.ts'
import { errors } from '../errors.ts'
import type { Message, View } from './layout.ts'

// What the routes of the pages share.

export interface Site {
  /** Where the pages are mounted, without a slash at the end. */
  readonly base: string
  readonly client: FlagClient
  viewOf(request: FastifyRequest, reply: FastifyReply): View
  /** Who sends a request, for the history. */
  authorOf(request: FastifyRequest): string | undefined
}

export type Query = { Querystring: Record<string, unknown> }
export type Form = { Body: URLSearchParams }

/** What the page says after the redirect; nothing of it comes from the URL but the name. */
const DONE = {
  created: 'Created.',
  saved: 'Saved.',
  enabled: 'Switched on.',
  disabled: 'Switched off.',
  deleted: 'Deleted. You find it among the deleted flags.',
  restored: 'Restored.',
  purged: 'Deleted for ever.',
  rolledback: 'Rolled back.',
}

export type Done = keyof typeof DONE

export function send(reply: FastifyReply, page: string): FastifyReply {
  return reply.type('text/html; charset=utf-8').send(page)
}

export function redirect(reply: FastifyReply, url: string): FastifyReply {
  return reply.redirect(url, 303)
}

/** What was done before this page was opened. */
export function doneMessage({ done, name }: Record<string, unknown>): Message | undefined {
  if (typeof done !== 'string' || !Object.hasOwn(DONE, done)) return undefined
  return { kind: 'success', text: html`<strong>${nameOf(name)}</strong> – ${DONE[done as Done]}` }
}

/** The name of a flag in an address or a form; of what cannot be a name, one that no flag has. */
export function nameOf(value: unknown): string {
  // PostgreSQL has no NUL in texts.
  return typeof value === 'string' && !value.includes('\0') ? value : ''
}

/** Every form has one; without it nobody can tell what was looked at. */
export function versionIn(body: URLSearchParams, field: 'version' | 'target' = 'version'): number {
  const text = body.get(field) ?? ''
  if (!/^\d{1,15}$/.test(text)) throw new errors.SQLA_ERR_FLAG_FORM()
  return Number(text)
}
