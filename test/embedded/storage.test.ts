import { existsSync } from 'node:fs'
import { chmod, mkdir, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { startCluster } from '../../plugins/embedded/index.ts'
import { isAlive } from '../../plugins/embedded/processes.ts'
import { temporaryDirectory } from '../../plugins/embedded/storage.ts'
import { testCluster } from '../support/cluster.ts'
import { query } from './helpers.ts'

async function place(t: Test): Promise<string> {
  const directory = await temporaryDirectory(undefined)
  await chmod(directory, 0o755)
  t.teardown(() => rm(directory, { recursive: true, force: true }))
  return directory
}

t.test('a data directory is kept, with its URLs, and replicas are made from it', async t => {
  const dataDir = join(await place(t), 'db')
  const first = await startCluster({ dataDir, replicas: 1 })
  const { port } = first.primary
  const url = first.url('writer')
  await query(url, 'create table note (id int)', 'insert into note values (1)')
  t.same(
    await query(url, `select current_setting('fsync') as fsync`),
    [{ fsync: 'on' }],
    'it is not to be lost',
  )
  await first.stop()
  t.ok(existsSync(dataDir))

  const again = await testCluster(t, { dataDir, port, replicas: 2 })
  t.equal(again.url('writer'), url)
  t.same(await query(url, 'select id from note'), [{ id: 1 }])
  t.same(await query(again.url('reader'), 'select id from note'), [{ id: 1 }], 'on a standby')
  t.same(
    await query(again.primary.url, 'select slot_name::text as name from pg_replication_slots order by 1'),
    [{ name: 'sqlassist_replica1' }, { name: 'sqlassist_replica2' }],
    'no slot of the last run keeps WAL',
  )

  await t.rejects(startCluster({ dataDir }), { code: 'SQLA_ERR_EMBEDDED_START', message: /already exists/ })
  t.ok(isAlive(again.primary.pid as number), 'who came second takes nothing away')
  t.same(await query(url, 'select id from note'), [{ id: 1 }])
})

t.test('a directory that holds something else is refused and left alone', async t => {
  const dataDir = await place(t)
  await writeFile(join(dataDir, 'letter.txt'), 'dear')
  await t.rejects(startCluster({ dataDir }), { code: 'SQLA_ERR_EMBEDDED_DATA_DIR', message: /not empty/ })
  t.ok(existsSync(join(dataDir, 'letter.txt')))
  await t.rejects(startCluster({ dataDir: join(dataDir, 'letter.txt') }), {
    code: 'SQLA_ERR_EMBEDDED_DATA_DIR',
  })
})

const onlyRoot = process.getuid?.() === 0 ? false : 'only root lends a user'
t.test('a directory that PostgreSQL cannot enter is refused', { skip: onlyRoot }, async t => {
  const closed = join(await place(t), 'closed')
  await mkdir(closed, { mode: 0o700 })
  await t.rejects(startCluster({ dataDir: join(closed, 'db') }), {
    code: 'SQLA_ERR_EMBEDDED_DATA_DIR',
    message: /no way in/,
  })
})

t.test('a port that is taken is refused', async t => {
  const server = createServer().listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await new Promise(resolve => server.once('listening', resolve))
  const address = server.address()
  const port = typeof address === 'object' ? address?.port : undefined
  if (port === undefined) throw new Error('no port')
  await t.rejects(startCluster({ port }), { code: 'SQLA_ERR_EMBEDDED_PORT', message: new RegExp(`${port}`) })
})
