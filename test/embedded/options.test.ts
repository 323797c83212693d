import t from 'tap'
import { type ClusterOptions, startCluster } from '../../plugins/embedded/index.ts'

const wrong: [string, unknown][] = [
  ['replicas', -1],
  ['replicas', 1.5],
  ['replicas', '2'],
  ['replicas', 9],
  ['port', 0],
  ['port', 70_000],
  ['port', '5432'],
  ['dataDir', ''],
  ['dataDir', 5],
  ['roles', 'app_reader'],
  ['roles', ['app_owner']],
  ['database', ''],
  ['database', 'a"; drop'],
  ['database', 5],
  ['settings', null],
  ['settings', { 'a b': 1 }],
  ['settings', { work_mem: '1MB\nfsync = on' }],
  ['settings', { work_mem: {} }],
  ['settings', { port: 5432 }],
  ['replica', 1],
]

for (const [name, value] of wrong) {
  t.test(`${name}: ${JSON.stringify(value)} is refused before anything is started`, async t => {
    await t.rejects(startCluster({ [name]: value } as ClusterOptions), {
      code: 'SQLA_ERR_INVALID_OPTION',
      message: new RegExp(`Invalid option:? ${name}\\b`),
    })
  })
}

t.test('a setting that PostgreSQL does not know is reported in its words', async t => {
  await t.rejects(startCluster({ settings: { no_such_setting: 1 } }), {
    code: 'SQLA_ERR_EMBEDDED_START',
    message: /unrecognized configuration parameter "no_such_setting"/,
  })
})
