// What the fragments of docs/segments.md stand on: identities in a table, two segments, and a client of the driver itself.
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist from 'fastify-sqlassist'
import {
  Binder,
  isContextInSegment,
  PostgresDialect,
  parseTraits,
  type Scope,
  translateSegment,
  translationProblems,
  Untranslatable,
  type Value,
} from 'fastify-sqlassist/segments'
import pg from 'pg'

const clientUrl = process.env.WRITER_URL ?? ''
const app = Fastify()
await app.register(sqlAssist, {
  engines: {
    writer: { orm: defineConfig({ clientUrl, entities: [], discovery: { warnWhenNoEntities: false } }) },
  },
})
const client = new pg.Client({ connectionString: clientUrl })
await client.connect()
app.addHook('onClose', () => client.end())

const evaluationContext = { environment: { key: 'env', name: 'Production' } }
const dialect = new PostgresDialect()
const onlyIf = (property: string, operator: 'EQUAL' | 'GREATER_THAN_INCLUSIVE' | 'REGEX', value: string) =>
  ({ type: 'ALL', conditions: [{ property, operator, value }] }) as const
const segments = {
  growth: { key: 'growth', name: 'Growth', rules: [onlyIf('plan', 'EQUAL', 'growth')] },
  adults: { key: 'adults', name: 'Adults', rules: [onlyIf('age', 'GREATER_THAN_INCLUSIVE', '18')] },
}
await client.query(dialect.schemaDdl)
await client.query(`insert into identities (environment_id, identifier, traits) values
  ('env', 'ada', '{"plan": "growth", "age": 47, "email": "aa@example.com"}'), ('env', 'bob', '{"plan": "free", "age": 18}')`)
void [
  Binder,
  isContextInSegment,
  parseTraits,
  translateSegment,
  translationProblems,
  Untranslatable,
  evaluationContext,
  segments,
]

export type { Scope, Value }
