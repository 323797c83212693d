import { defineConfig, defineEntity, p } from '@mikro-orm/postgresql'
import type { FastifyInstance } from 'fastify'
import Fastify from 'fastify'
import type { Test } from 'tap'
import type { Db, EngineOptions, SqlAssistOptions } from '../../src/index.ts'
import sqlAssist from '../../src/index.ts'
import { type TestDatabase, testDatabase } from '../support/cluster.ts'

// An application with an engine on each of two databases of one server.

/** Its balance must not fall below zero; a deferred constraint lets COMMIT find that out. */
export const Account = defineEntity({
  name: 'Account',
  tableName: 'account',
  properties: { id: p.integer().primary(), balance: p.integer() },
})

const TABLES = `
create table account (id integer primary key, balance integer not null check (balance > -1000));
create function at_commit() returns trigger language plpgsql as $$ begin
  if new.balance = 666 then raise exception 'refused at commit' using errcode = '23514'; end if;
  return null;
end $$;
create constraint trigger at_commit after insert or update on account deferrable initially deferred
  for each row execute function at_commit();
insert into account values (1, 100);
`

export interface TwoDatabases {
  readonly app: FastifyInstance
  readonly a: TestDatabase
  readonly b: TestDatabase
  readonly logs: { level: number; msg: string; [field: string]: unknown }[]
  /** The balance of account `id` in each of both, as it is committed; undefined where there is none. */
  balances(id?: number): Promise<[number | undefined, number | undefined]>
  run<T>(fn: (db: TwoDb) => Promise<T>): Promise<T>
}

/** `request.db` with both engines. */
export type TwoDb = Db & Readonly<Record<'a' | 'b', Db['writer']>>

export async function twoDatabases(
  t: Test,
  engines: Partial<Record<'a' | 'b', Partial<EngineOptions>>> = {},
  options: Partial<SqlAssistOptions> = {},
  routes: (app: FastifyInstance) => void = () => {},
  urls: (a: TestDatabase, b: TestDatabase) => Promise<readonly [string, string]> = async (a, b) => [
    a.writerUrl,
    b.writerUrl,
  ],
  max = 4,
): Promise<TwoDatabases> {
  const [a, b] = await Promise.all([testDatabase(t), testDatabase(t)])
  for (const database of [a, b]) await database.sql(TABLES)
  const [urlOfA, urlOfB] = await urls(a, b)
  const logs: TwoDatabases['logs'] = []
  const app = Fastify({
    logger: { level: 'info', stream: { write: (line: string) => logs.push(JSON.parse(line)) } },
  })
  t.teardown(() => app.close())
  const orm = (clientUrl: string) => defineConfig({ clientUrl, entities: [Account], pool: { min: 0, max } })
  await app.register(sqlAssist, {
    commitMode: 'autocommit',
    ...options,
    engines: {
      a: { orm: orm(urlOfA), ...engines.a } as EngineOptions,
      b: { orm: orm(urlOfB), ...engines.b } as EngineOptions,
    },
  })
  routes(app)
  await app.ready()
  const balance = async (database: TestDatabase, id: number): Promise<number | undefined> =>
    (await database.sql<{ balance: number }>('select balance from account where id = $1', [id]))[0]?.balance
  return {
    app,
    a,
    b,
    logs,
    balances: (id = 1) => Promise.all([balance(a, id), balance(b, id)]),
    run: fn => app.sqlAssist.run(db => fn(db as TwoDb)),
  }
}
