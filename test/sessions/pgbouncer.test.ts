import { defineConfig, MikroORM } from '@mikro-orm/postgresql'
import t from 'tap'
import { testDatabase } from '../support/cluster.ts'
import { startPgBouncer, withoutPgBouncer } from '../support/pgbouncer.ts'
import { sessionContract } from './contract.ts'

if (withoutPgBouncer !== false) {
  t.comment(`SKIPPED: ${withoutPgBouncer}`)
  t.pass(`skipped: ${withoutPgBouncer}`)
} else {
  const database = await testDatabase(t)
  const bouncer = await startPgBouncer(t, [database.superUrl], { poolSize: 3 })
  sessionContract(
    t,
    {
      name: 'PostgreSQL behind PgBouncer',
      options: () => defineConfig({ clientUrl: bouncer.through(database.superUrl) }) as never,
      hiddenWrite:
        "with written as (insert into contract_item (name, amount) values ('hidden', 1) returning 1) select * from written",
      skips: {},
    },
    // Who makes the tables and looks from outside: MikroORM's schema generator sets parameters of its session.
    options => MikroORM.init({ ...options, clientUrl: database.superUrl } as never) as never,
  )
}
