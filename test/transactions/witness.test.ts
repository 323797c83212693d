import t, { type Test } from 'tap'
import { Account, type TwoDb, twoDatabases } from './two-databases.ts'

// A transaction's id is learned behind its first write; nobody who writes notices.

type Sql = (text: string) => Promise<unknown>

/** Runs each statement twice, as the second one on a connection is asked in another way. */
async function twice(t: Test, work: (sql: Sql, db: TwoDb) => Promise<void>): Promise<void> {
  const { run } = await twoDatabases(t)
  for (let round = 0; round < 2; round++) {
    await run(async db => {
      await work(text => db.a.execute(text), db)
      await db.a.rollback()
    })
  }
}

t.test('rows have the columns that were asked for, and no other', async t => {
  await twice(t, async sql => {
    t.same(await sql('insert into "account" ("id", "balance") values (5, 1), (6, 2) returning "id"'), [
      { id: 5 },
      { id: 6 },
    ])
    t.same(await sql('insert into "account" ("id", "balance") values (7, 1) returning "id"'), [{ id: 7 }])
  })
})

t.test('texts, comments and columns that look like the end of an INSERT are left alone', async t => {
  await twice(t, async sql => {
    for (const text of [
      `insert into "account" ("id", "balance") values (5, 1) -- returning "id"`,
      `insert into "account" ("id", "balance") select 6, length(' returning "id"')`,
      `insert into "account" ("id", "balance") values (7, 1) returning "id", "balance" as "x returning ""y"`,
      `insert into "account" ("id", "balance") values (8, 1) returning *`,
      `insert into "account" ("id", "balance") values (9, 1) on conflict do nothing returning "id"`,
    ]) {
      await sql(text)
    }
    t.same(await sql('select "id", "balance" from "account" where "id" > 4 order by "id"'), [
      { id: 5, balance: 1 },
      { id: 6, balance: 15 },
      { id: 7, balance: 1 },
      { id: 8, balance: 1 },
      { id: 9, balance: 1 },
    ])
  })
})

t.test('an error is the statement’s own, with its position', async t => {
  await twice(t, async (sql, db) => {
    const statement = 'insert into "account" ("id", "balances") values (5, 1) returning "id"'
    const error = await sql(statement).then(
      () => undefined,
      error => error,
    )
    t.equal(error.code, '42703')
    t.equal(error.position, String(statement.indexOf('"balances"') + 1))
    await db.a.rollback()
  })
})

t.test('many rows, entities and bound parameters', async t => {
  const { run, a } = await twoDatabases(t)
  for (let round = 0; round < 2; round++) {
    await run(async db => {
      const from = 1_000 * (round + 1)
      for (let id = from; id < from + 600; id++) db.a.create(Account, { id, balance: id })
      await db.a.flush()
      const kysely = db.a.getKysely<{ account: { id: number; balance: number } }>()
      const inserted = await kysely
        .insertInto('account')
        .values({ id: from + 900, balance: 1 })
        .returning(['id', 'balance'])
        .executeTakeFirst()
      t.same(inserted, { id: from + 900, balance: 1 })
    })
    await run(async db => {
      const kysely = db.a.getKysely<{ account: { id: number; balance: number } }>()
      const { numUpdatedRows } = await kysely
        .updateTable('account')
        .set({ balance: 2 })
        .where('id', '>', 900)
        .executeTakeFirst()
      t.equal(numUpdatedRows, BigInt(601 * (round + 1)))
    })
  }
  t.same(await a.sql('select count(*)::int as n from account where balance = 2'), [{ n: 1_202 }])
})
