import Fastify, { type FastifyInstance, type InjectOptions } from 'fastify'
import type { Test } from 'tap'
import {
  type FlagStore,
  type FlagsApiOptions,
  flags,
  flagsApi,
  MemoryFlagStorage,
} from '../../plugins/flags/index.ts'

/** An application with the API under /flags, which `t` closes. */
export async function apiApp(
  t: Test,
  storage: FlagStore = new MemoryFlagStorage(),
  options: Partial<FlagsApiOptions> = {},
): Promise<FastifyInstance> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(flags, { storage })
  await app.register(flagsApi, { prefix: '/flags', authorize: 'none', heartbeat: 50, ...options })
  return app
}

/** Sends a request to the API. */
export function asker(app: FastifyInstance, prefix = '/flags') {
  return async (
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE' | 'HEAD',
    path: string,
    payload?: InjectOptions['payload'],
    headers: Record<string, string> = {},
  ) => {
    const {
      statusCode,
      body,
      headers: answered,
    } = await app.inject({
      method,
      url: `${prefix}${path}`,
      headers,
      ...(payload === undefined ? {} : { payload }),
    })
    const isJson = String(answered['content-type']).includes('json')
    return { status: statusCode, headers: answered, text: body, json: isJson ? JSON.parse(body) : undefined }
  }
}
