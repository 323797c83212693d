import { p } from '@mikro-orm/core'
import { defineEntity } from '@mikro-orm/sql'
import t from 'tap'
import { onEveryBackend } from '../support/backends.ts'
import { makeFolder, release } from './support.ts'

const Order = defineEntity({
  name: 'Order',
  schema: 'shop',
  properties: { id: p.integer().primary(), state: p.enum(['new', 'paid']).nativeEnumName('order_state') },
})
const Visit = defineEntity({
  name: 'Visit',
  schema: 'shop',
  properties: { id: p.integer().primary(), mood: p.enum(['good', 'bad']).nativeEnumName('mood') },
})

t.test('two engines share a schema of PostgreSQL, each with tables and types of its own', async t => {
  await onEveryBackend(
    t,
    async (t, backend) => {
      const folder = await makeFolder(t)
      const { migrations, sql } = await release(t, backend, folder, [Order], {
        engines: { logger: { entities: [Visit] } },
      })
      const found = async () => {
        const rows = await sql(
          `select typname as name from pg_type join pg_namespace n on n.oid = typnamespace
           where nspname = 'shop' and typname !~ '^_' order by 1`,
        )
        return rows.map(row => row.name)
      }
      await migrations.revision({ message: 'both' })
      await migrations.upgrade()
      t.same(await found(), ['mood', 'order', 'order_state', 'visit'])
      t.match(await migrations.check(), [{ ok: true }, { ok: true }])

      await t.test('what one takes back is its own', async t => {
        await migrations.downgrade({ engine: 'writer' })
        t.same(await found(), ['mood', 'visit'])
        await migrations.upgrade({ engine: 'writer' })
        await migrations.dropAll({ engine: 'writer' })
        t.same(await found(), ['mood', 'visit'])
        t.match(await migrations.check({ engine: 'logger' }), [{ ok: true }])
      })

      await t.test('what others have made of a table keeps it from being dropped', async t => {
        await sql('create view visitors as select * from shop.visit')
        await t.rejects(migrations.dropAll({ engine: 'logger' }), {
          code: 'SQLA_ERR_MIGRATION_TABLES',
          message: /could not be dropped: cannot drop table shop\.visit because other objects depend on it/,
        })
        await t.rejects(migrations.downgrade({ engine: 'logger' }), { code: 'SQLA_ERR_MIGRATION_FAILED' })
        t.same(await found(), ['mood', 'visit'])
        t.match(await migrations.check({ engine: 'logger' }), [{ ok: true }])
      })
    },
    ['PostgreSQL', 'PostgreSQL 15'],
  )
})
