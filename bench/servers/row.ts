import { defineEntity, type InferEntity, p } from '@mikro-orm/core'
import { defineConfig } from '@mikro-orm/postgresql'
import { type Acquisitions, databaseUrl, POOL_SIZE } from './note.ts'

/** What is inserted and listed by the thousand: a column of each common type. */
export const Row = defineEntity({
  name: 'Row',
  tableName: 'rows',
  properties: {
    id: p.integer().primary(),
    label: p.string(),
    quantity: p.integer(),
    remark: p.text().nullable(),
    isOpen: p.boolean(),
    madeAt: p.datetime(),
  },
})
export type Row = InferEntity<typeof Row>

/** What a bulk load is given: everything but the key. */
export type NewRow = Pick<Row, 'label' | 'quantity' | 'isOpen' | 'madeAt'> & { remark: string | null }

/** How many rows a request inserts. */
const ROWS_AT_ONCE = 10_000

/** The data of every request. Made once, as what makes them is not what is measured. */
export function newRows(): NewRow[] {
  const begin = Date.UTC(2026, 0, 1)
  return Array.from({ length: ROWS_AT_ONCE }, (_, n) => ({
    label: `Row ${n}`,
    quantity: n % 1000,
    remark: n % 3 === 0 ? null : `Two bottles, "cold", and what else there is no room for on list ${n}`,
    isOpen: n % 2 === 0,
    madeAt: new Date(begin + n * 1000),
  }))
}

/** What a bulk load answers: the keys are back, and nobody wants to see them all. */
export interface Inserted {
  count: number
  lastId: number | undefined
}

/** Which rows are listed: those of some quantities. */
export interface ListQuery {
  from: number
  to: number
}

/** How many rows a page has. */
export const PAGE_SIZE = 20

/** The schemas of the routes: the same for all candidates, so that validating and serialising cost the same. */
export const addManySchema = {
  response: {
    201: { type: 'object', properties: { count: { type: 'integer' }, lastId: { type: 'integer' } } },
  },
}
export const listSchema = {
  querystring: {
    type: 'object',
    required: ['from', 'to'],
    properties: { from: { type: 'integer' }, to: { type: 'integer' } },
  },
  response: {
    200: {
      type: 'object',
      properties: {
        total: { type: 'integer' },
        items: {
          type: 'array',
          items: {
            type: 'object',
            properties: {
              id: { type: 'integer' },
              label: { type: 'string' },
              quantity: { type: 'integer' },
              remark: { type: 'string', nullable: true },
              isOpen: { type: 'boolean' },
              madeAt: { type: 'string', format: 'date-time' },
            },
          },
        },
      },
    },
  },
}

/** The configuration of every MikroORM that knows the rows. */
export function rowsConfig(acquisitions: Acquisitions) {
  return defineConfig({
    clientUrl: databaseUrl(),
    entities: [Row],
    pool: { max: POOL_SIZE },
    driverOptions: { onPoolCreated: acquisitions.watch },
  })
}
