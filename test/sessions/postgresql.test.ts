import { defineConfig, MikroORM } from '@mikro-orm/postgresql'
import t from 'tap'
import { testDatabase } from '../support/cluster.ts'
import { sessionContract } from './contract.ts'

const database = await testDatabase(t)

sessionContract(
  t,
  {
    name: 'PostgreSQL',
    options: () => defineConfig({ clientUrl: database.superUrl }) as never,
    hiddenWrite:
      "with written as (insert into contract_item (name, amount) values ('hidden', 1) returning 1) select * from written",
    skips: {},
  },
  options => MikroORM.init(options as never) as never,
)
