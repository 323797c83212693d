import { defineEntity, type InferEntity, p } from '@mikro-orm/core'
import { defineConfig } from '@mikro-orm/postgresql'

/** What is inserted and read: a table as small as possible, so that what stands around the row is what is measured. */
export const Note = defineEntity({
  name: 'Note',
  tableName: 'notes',
  properties: { id: p.integer().primary(), title: p.string(), body: p.text() },
})
export type Note = InferEntity<typeof Note>

/** What a client sends. */
export interface NewNote {
  title: string
  body: string
}

export interface NoteParams {
  id: number
}

const note = {
  type: 'object',
  properties: { id: { type: 'integer' }, title: { type: 'string' }, body: { type: 'string' } },
}

/** The schemas of the routes: the same for all candidates, so that validating and serialising cost the same. */
export const insertSchema = {
  body: {
    type: 'object',
    required: ['title', 'body'],
    properties: { title: { type: 'string' }, body: { type: 'string' } },
  },
  response: { 201: note },
}
export const readSchema = {
  params: { type: 'object', properties: { id: { type: 'integer' } } },
  response: { 200: note },
}
export const helloSchema = {
  response: { 200: { type: 'object', properties: { hello: { type: 'string' } } } },
}

/** How many connections every candidate may open. */
export const POOL_SIZE = 10

export function databaseUrl(): string {
  const url = process.env.BENCH_DATABASE_URL
  if (url === undefined) throw new Error('BENCH_DATABASE_URL is not set: bench/run.ts starts this program')
  return url
}

export function standbyUrls(): string[] {
  return (process.env.BENCH_STANDBY_URLS ?? '').split(' ').filter(url => url !== '')
}

/** Counts how often a connection was taken from a pool of pg. */
export class Acquisitions {
  count = 0

  readonly watch = (pool: { on(event: 'acquire', listener: () => void): unknown }): void => {
    pool.on('acquire', () => {
      this.count++
    })
  }
}

/** The configuration of every MikroORM here. */
export function ormConfig(acquisitions: Acquisitions, clientUrl = databaseUrl()) {
  return defineConfig({
    clientUrl,
    entities: [Note],
    pool: { max: POOL_SIZE },
    driverOptions: { onPoolCreated: acquisitions.watch },
  })
}
