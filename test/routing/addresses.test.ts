import t from 'tap'
import {
  addressOf,
  isSameAddress,
  labelOf,
  replicaTarget,
  splitClientUrl,
} from '../../src/engines/addresses.ts'

const PASSWORD = 'hunter2'
const INVALID = { code: 'SQLA_ERR_INVALID_OPTION' }
const WHERE = 'engines.writer.orm.clientUrl'

/** What is thrown for a `clientUrl`; undefined when nothing is. */
function refusalOf(clientUrl: unknown): { code?: string; message: string } | undefined {
  try {
    splitClientUrl(clientUrl as string, WHERE)
    return undefined
  } catch (error) {
    return error as Error
  }
}

t.test('one URL stays one URL', async t => {
  const url = `postgresql://app:${PASSWORD}@db.example:5433/shop?application_name=web`
  t.same(splitClientUrl(url, WHERE), [url])
  t.same(splitClientUrl([url], WHERE), [url])
  t.same(splitClientUrl('postgres://db/shop', WHERE), ['postgres://db/shop'])
  t.same(splitClientUrl('postgresql:///shop', WHERE), ['postgresql:///shop'], 'without a server')
})

t.test('a list has one server each', async t => {
  const urls = ['postgresql://a:5432/shop', 'postgresql://b:5433/shop']
  t.same(splitClientUrl(urls, WHERE), urls)
})

t.test('several hosts in one URL, as libpq writes it', async t => {
  t.same(
    splitClientUrl('postgresql://app:p%40ss@a:5432,b:5433,c/shop?target_session_attrs=read-write', WHERE),
    [
      'postgresql://app:p%40ss@a:5432/shop?target_session_attrs=read-write',
      'postgresql://app:p%40ss@b:5433/shop?target_session_attrs=read-write',
      'postgresql://app:p%40ss@c/shop?target_session_attrs=read-write',
    ],
  )
  t.same(splitClientUrl('postgresql://a,b', WHERE), ['postgresql://a', 'postgresql://b'])
  t.same(splitClientUrl('postgresql://[::1]:5432,[fe80::2]:5433/shop', WHERE), [
    'postgresql://[::1]:5432/shop',
    'postgresql://[fe80::2]:5433/shop',
  ])
  t.same(
    splitClientUrl('postgresql://app:a,b,c@one/shop', WHERE),
    ['postgresql://app:a,b,c@one/shop'],
    'a comma in a password is no second host',
  )
  t.same(splitClientUrl('postgresql://one/shop?options=a,b', WHERE), ['postgresql://one/shop?options=a,b'])
  t.same(
    splitClientUrl(['postgresql://a,b/shop', 'postgresql://c/shop'], WHERE),
    ['postgresql://a/shop', 'postgresql://b/shop', 'postgresql://c/shop'],
    'in a list as well',
  )
})

t.test('an engine with several servers looks for the one that accepts writes', async t => {
  for (const wanted of ['read-write', 'primary']) {
    t.equal(splitClientUrl(`postgresql://a,b/shop?target_session_attrs=${wanted}`, WHERE).length, 2, wanted)
  }
  for (const wanted of ['any', 'read-only', 'standby', 'prefer-standby', 'nonsense']) {
    const url = `postgresql://app:${PASSWORD}@a,b/shop?target_session_attrs=${wanted}`
    const refusal = refusalOf(url)
    t.match(refusal, { ...INVALID, message: /target_session_attrs must be read-write/ }, wanted)
    t.match(refusal?.message, WHERE)
    t.notMatch(refusal?.message, PASSWORD)
    t.same(splitClientUrl(url.replace(',b', ''), WHERE).length, 1, 'one server is what it is')
  }
})

t.test('what is no URL is refused, and not repeated', async t => {
  const wrong: unknown[] = [
    '',
    'a',
    'db.example:5432',
    `app:${PASSWORD}@db`,
    `//app:${PASSWORD}@db/shop`,
    `postgresql://app:${PASSWORD}@db:99999/shop`,
    `postgresql://app:${PASSWORD}@db:port/shop`,
    `postgresql://app:${PASSWORD}@a:1,b:port/shop`,
    `postgresql://app:${PASSWORD}@a,/shop`.replace('a,', ' ,'),
    `postgresql://app:${PASSWORD}%@db/shop`,
    `postgresql://app:${PASSWORD}@db/shop%`,
    [],
    [''],
    ['postgresql://a/shop', ''],
    ['postgresql://a/shop', undefined],
    [[`postgresql://app:${PASSWORD}@db:99999/shop`]],
    undefined,
    null,
    7,
    {},
    Symbol('url'),
  ]
  for (const clientUrl of wrong) {
    const refusal = refusalOf(clientUrl)
    const label = JSON.stringify(clientUrl) ?? String(clientUrl)
    t.match(refusal, INVALID, label)
    t.match(refusal?.message, `Invalid option: ${WHERE} `, label)
    t.notMatch(JSON.stringify([refusal?.message, Object.entries(refusal ?? {})]), PASSWORD, label)
  }
})

t.test('an address is a host and a port, whatever the URL leaves out', async t => {
  t.same(addressOf('postgresql://db.example:5433/shop'), { host: 'db.example', port: 5433 })
  t.same(addressOf('postgresql://db.example/shop'), { host: 'db.example', port: 5432 })
  t.same(addressOf('postgresql://%2Frun%2Fpostgresql/shop'), { host: '/run/postgresql', port: 5432 })
  t.same(
    addressOf('postgresql://app@[::1]:5433/shop'),
    { host: '::1', port: 5433 },
    'without the brackets of a URL',
  )
  t.equal(labelOf({ host: 'db', port: 5433 }), 'db:5433')
  t.equal(labelOf({ host: '::1', port: 5433 }), '[::1]:5433')
  t.ok(isSameAddress({ host: 'a', port: 1 }, { host: 'a', port: 1 }))
  t.notOk(isSameAddress({ host: 'a', port: 1 }, { host: 'a', port: 2 }))
  t.notOk(isSameAddress({ host: 'a', port: 1 }, { host: 'b', port: 1 }))
})

t.test('a replica logs in as the engine does, but for what its own options say', async t => {
  const own = { host: 'primary', port: 5555, user: 'app', password: PASSWORD, database: 'shop' }
  const login = { user: 'app', password: PASSWORD, database: 'shop' }
  t.same(replicaTarget({ host: 'standby' }, own), { address: { host: 'standby', port: 5432 }, login })
  t.same(replicaTarget({ host: 'standby', port: 5556 }, own), {
    address: { host: 'standby', port: 5556 },
    login,
  })
  t.same(replicaTarget({ clientUrl: 'postgresql://standby' }, own), {
    address: { host: 'standby', port: 5432 },
    login,
  })
  t.same(replicaTarget({ clientUrl: 'postgresql://[::1]:5433/' }, own), {
    address: { host: '::1', port: 5433 },
    login,
  })
  t.same(replicaTarget({ clientUrl: 'postgresql://r%40:p%2F@standby:5433/d%20b' }, own), {
    address: { host: 'standby', port: 5433 },
    login: { user: 'r@', password: 'p/', database: 'd b' },
  })
  const password = () => 'later'
  t.same(
    replicaTarget(
      { clientUrl: 'postgresql://a:b@c:1/d', host: 'standby', port: 2, user: 'e', password, dbName: 'f' },
      own,
    ),
    { address: { host: 'standby', port: 2 }, login: { user: 'e', password, database: 'f' } },
    'what stands by itself goes before what stands in the URL, as in MikroORM',
  )
})
