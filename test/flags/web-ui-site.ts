import Fastify, { type FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import {
  type FlagData,
  type FlagStore,
  type FlagsWebUiOptions,
  flags,
  flagsWebUi,
  MemoryFlagStorage,
} from '../../plugins/flags/index.ts'

/** An application with the pages, and a browser that has opened one of them. */
export interface Site {
  readonly app: FastifyInstance
  readonly storage: FlagStore
  get(path: string): Promise<{ status: number; text: string; headers: Record<string, unknown> }>
  /** Posts as a browser does that has opened a page before. */
  post(
    path: string,
    fields: Record<string, string | string[]>,
    headers?: Record<string, string>,
  ): Promise<{ status: number; text: string; location: string }>
  readonly cookie: string
  readonly token: string
}

/** @param options those of the pages, and where the flags are */
export async function siteWith(
  t: Test,
  options: Partial<FlagsWebUiOptions> & { prefix?: string; storage?: FlagStore } = {},
): Promise<Site> {
  const app = Fastify()
  t.teardown(() => app.close())
  const { prefix = '/admin/flags', storage = new MemoryFlagStorage(), ...more } = options
  await app.register(flags, { storage, recordUsage: false })
  await app.register(flagsWebUi, { authorize: 'none', ...more, prefix })
  const first = await app.inject(`${prefix}/new`)
  const cookie = String(first.headers['set-cookie']).split(';')[0] ?? ''
  const token = /name="_csrf" value="([^"]+)"/.exec(first.body)?.[1] ?? ''
  return {
    app,
    storage,
    cookie,
    token,
    async get(path) {
      const { statusCode, body, headers } = await app.inject({ url: prefix + path, headers: { cookie } })
      return { status: statusCode, text: body, headers }
    },
    async post(path, fields, headers = {}) {
      const body = new URLSearchParams()
      for (const [name, value] of Object.entries({ _csrf: token, ...fields })) {
        for (const one of [value].flat()) body.append(name, one)
      }
      const answer = await app.inject({
        method: 'POST',
        url: prefix + path,
        headers: { cookie, 'content-type': 'application/x-www-form-urlencoded', ...headers },
        payload: body.toString(),
      })
      return { status: answer.statusCode, text: answer.body, location: String(answer.headers.location) }
    },
  }
}

/** A flag as it is saved. */
export async function stored(site: Site, name: string): Promise<FlagData | undefined> {
  return (await site.storage.list()).find(flag => flag.name === name)
}
