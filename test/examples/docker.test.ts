import { readFile } from 'node:fs/promises'
import t from 'tap'
import { buildApp } from '../../examples/notes/app.ts'
import { query } from '../embedded/helpers.ts'
import { testCluster } from './support.ts'

const script = (name: string) => readFile(new URL(`../../docker/primary/${name}`, import.meta.url), 'utf8')

t.test('the roles of docker-compose.yml are enough for the notes example, and not too much', async t => {
  const cluster = await testCluster(t, { roles: [] })
  const { primary } = cluster
  await query(primary.url, await script('10-roles.sql'), await script('20-replication.sql'))
  const url = (role: string) => {
    const url = new URL(primary.url)
    url.username = role
    url.password = role
    return url.href
  }
  const urls = { writer: url('app_writer'), reader: url('app_reader'), logger: url('app_logger') }
  const app = await buildApp(urls)
  t.teardown(() => app.close())

  const ada = await app.inject({ method: 'POST', url: '/authors', payload: { name: 'Ada' } })
  t.equal(ada.statusCode, 201)
  const note = await app.inject({ method: 'POST', url: '/notes', payload: { author: 1, title: 'First' } })
  t.equal(note.statusCode, 201)
  t.equal((await app.inject('/notes/1')).statusCode, 200)
  t.match((await app.inject('/')).body, /First/)

  const denied = { code: '42501' }
  await t.rejects(query(urls.reader, `insert into author (name) values ('x')`), denied)
  await t.rejects(query(urls.logger, 'delete from author'), denied)
  await t.rejects(query(urls.reader, 'delete from audit_line'), denied)
  t.same(await query(primary.url, 'select slot_name, slot_type from pg_replication_slots'), [
    { slot_name: 'standby', slot_type: 'physical' },
  ])
  t.same(
    await query(primary.url, `select rolreplication as may from pg_roles where rolname = 'replicator'`),
    [{ may: true }],
  )
})
