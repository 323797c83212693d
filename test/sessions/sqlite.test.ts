import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { defineConfig, MikroORM } from '@mikro-orm/sqlite'
import t from 'tap'
import { sessionContract } from './contract.ts'

const directory = await mkdtemp(join(tmpdir(), 'sqlassist-sqlite-'))
t.teardown(() => rm(directory, { recursive: true }))

// Without a write-ahead log a reader would keep the writer from committing.
const writeAheadLog = async (connection: unknown): Promise<void> => {
  const { CompiledQuery } = await import('kysely')
  const kysely = connection as { executeQuery(query: unknown): Promise<unknown> }
  await kysely.executeQuery(CompiledQuery.raw('pragma journal_mode = wal'))
}

sessionContract(
  t,
  {
    name: 'SQLite',
    options: () =>
      defineConfig({ dbName: join(directory, 'contract.db'), onCreateConnection: writeAheadLog }) as never,
    hiddenWrite: "/* hidden */ insert into contract_item (name, amount) values ('hidden', 1)",
    skips: {
      'REQUIRES_NEW and NOT_SUPPORTED leave the transaction':
        'an SQLite engine has one connection, so there is none for a second transaction',
    },
  },
  options => MikroORM.init(options as never) as never,
)
