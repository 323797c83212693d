import { defineConfig, MikroORM } from '@mikro-orm/mariadb'
import t from 'tap'
import { sessionContract } from './contract.ts'

const url = process.env.MARIADB_URL

if (url === undefined) {
  t.comment('SKIPPED: MARIADB_URL is not set, so the session contract did not run on MariaDB')
  t.pass('skipped: MARIADB_URL is not set')
} else {
  const dbName = `sqlassist_contract_${process.pid}`
  const admin = await MikroORM.init({
    clientUrl: url,
    dbName: 'mysql',
    entities: [],
    discovery: { warnWhenNoEntities: false },
  })
  await admin.em.getConnection().execute(`create database ${dbName}`)
  t.teardown(async () => {
    await admin.em.getConnection().execute(`drop database ${dbName}`)
    await admin.close(true)
  })
  sessionContract(
    t,
    {
      name: 'MariaDB',
      options: () => defineConfig({ clientUrl: url, dbName }) as never,
      hiddenWrite: "/* hidden */ insert into contract_item (name, amount) values ('hidden', 1)",
      skips: {},
    },
    options => MikroORM.init(options as never) as never,
  )
}
