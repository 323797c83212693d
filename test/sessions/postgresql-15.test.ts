import { randomBytes } from 'node:crypto'
import { defineConfig, MikroORM } from '@mikro-orm/postgresql'
import t from 'tap'
import { sessionContract } from './contract.ts'

const url = process.env.POSTGRES_15_URL

if (url === undefined) {
  t.comment('SKIPPED: POSTGRES_15_URL is not set, so the session contract did not run on an older PostgreSQL')
  t.pass('skipped: POSTGRES_15_URL is not set')
} else {
  const dbName = `sqlassist_${randomBytes(6).toString('hex')}`
  const admin = await MikroORM.init({
    clientUrl: url,
    entities: [],
    discovery: { warnWhenNoEntities: false },
  })
  await admin.em.getConnection().execute(`create database ${dbName}`)
  t.teardown(async () => {
    await admin.em.getConnection().execute(`drop database ${dbName} with (force)`)
    await admin.close(true)
  })
  sessionContract(
    t,
    {
      name: 'PostgreSQL 15',
      options: () => defineConfig({ clientUrl: url, dbName }) as never,
      hiddenWrite:
        "with written as (insert into contract_item (name, amount) values ('hidden', 1) returning 1) select * from written",
      skips: {},
    },
    options => MikroORM.init(options as never) as never,
  )
}
