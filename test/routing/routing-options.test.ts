import { MikroORM as PostgreSqlOrm } from '@mikro-orm/postgresql'
import { defineConfig as defineSqlite } from '@mikro-orm/sqlite'
import Fastify, { type FastifyInstance } from 'fastify'
import pg from 'pg'
import t from 'tap'
import type { EmbeddedReplica } from '../../plugins/embedded/index.ts'
import { type EngineOptions, type RoutingOptions, sqlAssist } from '../../src/index.ts'
import { resolveRouting, validateReplicas } from '../../src/routing/routing-options.ts'
import { eventually, Note, ormConfig } from '../support/app.ts'
import { testDatabase } from '../support/cluster.ts'
import { replicasOf, replicatedCluster, SECRET } from '../support/routed-app.ts'

const CODE = 'SQLA_ERR_INVALID_OPTION'
/** Stands for every secret: no message may contain it. */
const PASSWORD = 'hunter2-hunter2-hunter2'
const URL_OF = (host: string): string => `postgresql://app:${PASSWORD}@${host}/shop`
const token = { secret: SECRET }

interface Refusal {
  readonly code?: string
  readonly message: string
}

function refusalOf(work: () => unknown): Refusal | undefined {
  try {
    work()
    return undefined
  } catch (error) {
    return error as Refusal
  }
}

/** Everything that a log would show of an error. */
const shownOf = (error: unknown): string => {
  const { message, stack, cause, ...fields } = error as Error
  return JSON.stringify([message, stack, fields]) + (cause === undefined ? '' : shownOf(cause))
}

t.test('nothing has to be said', async t => {
  t.same(resolveRouting(), {
    primary: 'writer',
    consistency: 'session',
    maxLag: { ms: 10_000, bytes: 256 * 1024 * 1024 },
    wait: 100,
    onUnavailable: 'primary',
    token: undefined,
    probe: { interval: 1_000, timeout: 500 },
  })
  t.same(resolveRouting({}), resolveRouting())
  const nothing = {
    primary: undefined,
    maxLag: undefined,
    token: undefined,
    probe: undefined,
    wait: undefined,
  }
  t.same(resolveRouting(nothing as unknown as RoutingOptions), resolveRouting())
  t.same(resolveRouting({ token }).token, { secret: SECRET, maxAge: 300_000 })
})

t.test('everything can be said', async t => {
  const transport = { read: () => undefined, write: () => {} }
  const said = {
    primary: 'main',
    consistency: 'eventual',
    maxLag: { ms: 1, bytes: 0.5 },
    wait: 0,
    onUnavailable: 'error',
    token: {
      secret: [SECRET, `${SECRET}2`],
      maxAge: 2,
      name: "seen-it!#$%&'*+.^_`|~",
      secure: false,
      transport,
    },
    probe: { interval: 10, timeout: 2 ** 31 - 1 },
  } as const
  t.same(resolveRouting(said), said)
  for (const name of ['cookie', 'header'] as const) {
    t.equal(resolveRouting({ token: { ...token, transport: name } }).token?.transport, name)
  }
})

t.test('every wrong routing option is refused by its name', async t => {
  const numbers = [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '5', null, true, {}, 5n]
  const milliseconds = [...numbers, 2 ** 31]
  const wrong: Record<string, unknown[]> = {
    routing: [null, 7, 'primary', [], true],
    'routing.primary': ['', 7, null, {}],
    'routing.consistency': ['strong', '', null, 7, ['session'], 'SESSION'],
    'routing.maxLag': [7, null, 'ms', []],
    'routing.maxLag.ms': milliseconds,
    'routing.maxLag.bytes': numbers,
    'routing.maxLag.seconds': [7],
    'routing.wait': milliseconds.filter(value => value !== 0),
    'routing.onUnavailable': ['fail', null, 7],
    'routing.token': [PASSWORD, 7, null, [PASSWORD]],
    'routing.token.secret': [
      undefined,
      null,
      '',
      'fifteen letters',
      [],
      ['fifteen letters'],
      [SECRET, 7],
      7,
      {},
    ],
    'routing.token.secrets': [[PASSWORD]],
    'routing.token.transport': [
      'query',
      null,
      7,
      {},
      { read: () => undefined },
      { read: 1, write: 2 },
      () => {},
    ],
    'routing.token.maxAge': [...milliseconds, 1, 10_000],
    'routing.token.name': ['', 'a b', 'a=b', 'a;b', 'a,b', '"a"', 'a\n', '\u00e4', 7, null],
    'routing.token.secure': ['auto', 1, null],
    'routing.probe': [7, null, []],
    'routing.probe.interval': milliseconds,
    'routing.probe.timeout': milliseconds,
    'routing.probe.every': [7],
    'routing.replicas': [[URL_OF('standby')]],
    'routing.__proto__x': [7],
    'routing.constructor': [7],
  }
  for (const [name, values] of Object.entries(wrong)) {
    for (const value of values) {
      const options = optionsWith(name.split('.').slice(1), value)
      const refusal = refusalOf(() => resolveRouting(options as RoutingOptions))
      const label = `${name}: ${String(typeof value === 'object' ? JSON.stringify(value) : value)}`
      t.equal(refusal?.code, CODE, label)
      t.match(refusal?.message, `Invalid option: ${name} `, label)
      t.notMatch(shownOf(refusal), PASSWORD, label)
    }
  }
})

t.test('maxAge is above maxLag.ms, or a replica could miss a write whose token has expired', async t => {
  const maxLag = { ms: 5_000 }
  t.equal(refusalOf(() => resolveRouting({ maxLag, token: { ...token, maxAge: 5_000 } }))?.code, CODE)
  t.equal(resolveRouting({ maxLag, token: { ...token, maxAge: 5_001 } }).token?.maxAge, 5_001)
  t.match(
    refusalOf(() => resolveRouting({ maxLag: { ms: 300_000 }, token })),
    {
      code: CODE,
      message: /routing\.token\.maxAge must be above routing\.maxLag\.ms \(300000\)/,
    },
  )
})

t.test('every wrong replica is refused by its place in the list', async t => {
  const where = 'engines.reader.replicas'
  const good = { clientUrl: URL_OF('standby') }
  const lists: [list: unknown, name: string][] = [
    [undefined, where],
    [null, where],
    [[], where],
    [{}, where],
    [URL_OF('standby'), where],
    [[URL_OF('standby')], `${where}[0]`],
    [[good, null], `${where}[1]`],
    [[good, []], `${where}[1]`],
    [[{}], `${where}[0]`],
    [[good, { port: 5432 }], `${where}[1]`],
    [[{ name: 'a', weight: 1, password: PASSWORD }], `${where}[0]`],
  ]
  const values: Record<string, unknown[]> = {
    clientUrl: [
      '',
      'standby:5432',
      `app:${PASSWORD}@standby`,
      URL_OF('standby:0x'),
      URL_OF('a,b'),
      `${URL_OF('a')}%`,
    ],
    host: ['', 7, null],
    port: [0, -1, 65_536, 5432.5, '5432', Number.NaN, null],
    user: ['', 7, null],
    password: [7, null, {}, [PASSWORD]],
    dbName: ['', 7, null],
    name: ['', 7, null],
    weight: [0, -1, Number.NaN, Number.POSITIVE_INFINITY, '2', null],
    wieght: [7],
    passwords: [PASSWORD],
  }
  for (const [key, wrong] of Object.entries(values)) {
    for (const value of wrong) lists.push([[good, { ...good, [key]: value }], `${where}[1].${key}`])
  }
  for (const [list, name] of lists) {
    const refusal = refusalOf(() => validateReplicas(where, list))
    const label = `${name}: ${JSON.stringify(list)}`
    t.equal(refusal?.code, CODE, label)
    t.match(refusal?.message, `Invalid option: ${name} `, label)
    t.notMatch(shownOf(refusal), PASSWORD, label)
  }
  const password = async () => PASSWORD
  const all = { ...good, host: 'a', port: 65_535, user: 'b', password, dbName: 'c', name: 'd', weight: 0.1 }
  validateReplicas(where, [good, { host: '/run/postgresql' }, all])
})

t.test('when the plugin is registered', async t => {
  const cluster = await replicatedCluster(t, 1)
  const [standby] = cluster.replicas as [EmbeddedReplica]
  const other = await testDatabase(t)
  const passwords = [
    cluster.primary.url,
    other.superUrl,
    ...['writer', 'reader'].map(role => cluster.url(role as 'writer')),
  ]
    .map(url => new URL(url).password)
    .concat(SECRET, PASSWORD)

  const config = (url: string, options = {}) => ormConfig(url, options)
  const writer: EngineOptions = { orm: config(cluster.url('writer')) }
  const replicas = replicasOf(cluster)
  const readerConfig = config(cluster.url('reader', cluster.primary))
  const reader: EngineOptions = { orm: readerConfig, readOnly: true, replicas }

  async function register(
    t: Pick<typeof import('tap').default, 'teardown'>,
    engines: Record<string, EngineOptions>,
    routing: RoutingOptions | 'none' = { token },
    routes: (app: FastifyInstance) => void = () => {},
  ): Promise<FastifyInstance> {
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(sqlAssist, { engines, ...(routing === 'none' ? {} : { routing }) })
    routes(app)
    await app.ready()
    return app
  }

  /** What `register` rejects with, once it is certain that it tells no secret and leaves no connection. */
  async function refusal(
    t: Pick<typeof import('tap').default, 'teardown' | 'notMatch'>,
    engines: Record<string, EngineOptions>,
    routing?: RoutingOptions | 'none',
    routes?: (app: FastifyInstance) => void,
  ): Promise<Refusal> {
    const error = await register(t, engines, routing, routes).then(
      () => new Error('it was not refused'),
      thrown => thrown,
    )
    const shown = shownOf(error)
    for (const password of passwords) t.notMatch(shown, password)
    return error
  }

  t.test('what is right is taken', async t => {
    const app = await register(t, { reader, writer })
    t.match(app.sqlAssist.engines.get('reader').replicas, [{ name: 'replica1', state: 'online', weight: 1 }])
    t.match(await app.sqlAssist.run(db => db.reader.find(Note, {})), [])
  })

  t.test('session consistency needs tokens', async t => {
    for (const routing of ['none', {}, { consistency: 'session' }] as const) {
      t.match(await refusal(t, { writer, reader }, routing), {
        code: CODE,
        message: /routing\.token is needed by the replicas of 'reader'/,
      })
    }
    for (const consistency of ['eventual', 'primary'] as const) {
      const app = await register(t, { writer, reader }, { consistency })
      t.equal(app.sqlAssist.engines.get('reader').replicas.length, 1, consistency)
    }
  })

  t.test('so does session consistency of a route', async t => {
    const route = (app: FastifyInstance) =>
      app.get('/mine', { config: { db: { consistency: 'session' } } }, async () => '')
    for (const routing of [{ consistency: 'eventual' }, { consistency: 'primary' }] as const) {
      const error = await refusal(t, { writer, reader }, routing, route)
      t.match(error, {
        code: CODE,
        message: /config\.db of GET \/mine: consistency 'session' needs routing\.token/,
      })
    }
    t.match(await refusal(t, { writer }, {}, route), { code: CODE }, 'also without replicas')
    await register(t, { writer, reader }, { token, consistency: 'eventual' }, route)
    await register(t, { writer, reader }, { consistency: 'eventual' }, app => {
      app.get('/any', { config: { db: { consistency: 'primary' } } }, async () => '')
    })
    const wrong = await refusal(t, { writer }, {}, app => {
      app.get('/wrong', { config: { db: { consistency: 'strong' as 'session' } } }, async () => '')
    })
    t.match(wrong, { code: CODE, message: /config\.db of GET \/wrong: consistency must be one of/ })
  })

  t.test('the primary is an engine', async t => {
    const routing = { token, primary: 'main' }
    t.match(await refusal(t, { writer, reader }, routing), {
      code: CODE,
      message: /routing\.primary 'main' is no engine; there are: writer, reader/,
    })
    t.match(await refusal(t, { reader, writer }, routing), { code: CODE }, 'in any order')
    const app = await register(t, { main: writer, reader }, routing)
    t.equal(app.sqlAssist.engines.get('reader').replicas[0]?.state, 'online')
  })

  t.test('the primary is not the engine whose replicas need one', async t => {
    t.match(await refusal(t, { writer, reader }, { token, primary: 'reader' }), {
      code: CODE,
      message: /routing\.primary 'reader' must be a PostgreSQL engine that writes/,
    })
  })

  t.test('the primary is given as a configuration', async t => {
    const orm = await PostgreSqlOrm.init(config(cluster.url('writer')))
    t.teardown(() => orm.close(true))
    t.match(await refusal(t, { writer: { orm }, reader }), {
      code: CODE,
      message: /routing\.primary 'writer' must be a PostgreSQL engine that writes, given as a configuration/,
    })
    t.ok(await orm.checkConnection().then(({ ok }) => ok), 'the instance stays open: it is not ours')
  })

  t.test('so is the engine with replicas', async t => {
    const orm = await PostgreSqlOrm.init(readerConfig)
    t.teardown(() => orm.close(true))
    t.match(await refusal(t, { writer, reader: { ...reader, orm } as EngineOptions }), {
      code: CODE,
      message: /engines\.reader\.replicas need `orm` to be a configuration/,
    })
  })

  t.test('replicas are for PostgreSQL', async t => {
    const sqlite = () => defineSqlite({ dbName: ':memory:', entities: [Note] })
    const sqliteReader = { orm: sqlite(), readOnly: true, replicas } as EngineOptions
    const needsPostgres = { code: CODE, message: /engines\.reader\.replicas need PostgreSQL/ }
    t.match(await refusal(t, { writer, reader: sqliteReader }), needsPostgres)
    t.match(await refusal(t, { writer: { orm: sqlite() }, reader: sqliteReader }), needsPostgres)
    t.match(await refusal(t, { writer: { orm: sqlite() }, reader }), {
      code: CODE,
      message: /routing\.primary 'writer' must be a PostgreSQL engine/,
    })
    const several = { ...sqlite(), clientUrl: ['sqlite://a/b', 'sqlite://c/d'] }
    t.match(await refusal(t, { writer: { orm: several } }), {
      code: CODE,
      message: /engines\.writer\.orm\.clientUrl must be one URL/,
    })
    await register(t, { writer: { orm: sqlite() } }, { token })
    t.pass('what needs no primary may say routing all the same')
  })

  t.test('nothing that MikroORM does to its own connections would be done to those of replicas', async t => {
    const onCreateConnection = async () => {}
    const onReserveConnection = async () => {}
    for (const options of [
      { onCreateConnection },
      { onReserveConnection },
      { sessionContext: 'connection' },
    ]) {
      const orm = config(cluster.url('reader', cluster.primary), options as object)
      const error = await refusal(t, { writer, reader: { ...reader, orm } as EngineOptions })
      t.match(error, {
        code: CODE,
        message: `engines.reader.replicas do not go with ${Object.keys(options)[0]}`,
      })
    }
  })

  t.test('orm does not point at a standby that is none of its replicas', async t => {
    const orm = config(cluster.url('reader', standby))
    const elsewhere = { name: 'elsewhere', clientUrl: cluster.url('reader', cluster.primary) }
    const options = { orm, readOnly: true, replicas: [elsewhere] } as EngineOptions
    t.match(await refusal(t, { writer, reader: options }), {
      code: CODE,
      message: /engines\.reader\.orm points at a standby/,
    })
    const app = await register(t, { writer, reader: { ...reader, orm } as EngineOptions })
    t.equal(
      app.sqlAssist.engines.get('reader').replicas[0]?.state,
      'online',
      'one of its replicas is meant as login',
    )
  })

  t.test('orm does not point at another cluster', async t => {
    const orm = config(other.readerUrl)
    t.match(await refusal(t, { writer, reader: { ...reader, orm } as EngineOptions }), {
      code: CODE,
      message: /engines\.reader\.orm points at another cluster/,
    })
  })

  t.test('the writer does not point at a standby', async t => {
    const orm = config(cluster.url('writer', standby))
    t.match(await refusal(t, { writer: { orm } }), {
      code: 'SQLA_ERR_ENGINE_START',
      message: /^Engine 'writer' could not be started: .* 127\.0\.0\.1:\d+ is a standby$/,
    })
  })

  t.test('names of replicas are different', async t => {
    const [one] = replicas as [(typeof replicas)[0]]
    const named = { ...reader, replicas: [one, { ...one, host: 'elsewhere' }] } as EngineOptions
    t.match(await refusal(t, { writer, reader: named }), {
      code: CODE,
      message: /engines\.reader\.replicas has 'replica1' twice/,
    })
    const { clientUrl } = one
    const unnamed = { ...reader, replicas: [{ clientUrl }, { clientUrl }] } as EngineOptions
    t.match(await refusal(t, { writer, reader: unnamed }), {
      code: CODE,
      message: new RegExp(`engines\\.reader\\.replicas has '127.0.0.1:${standby.port}' twice`),
    })
  })

  t.test('replicas are read from', async t => {
    for (const options of [{}, { autocommit: true }, { readOnly: false }]) {
      const wrong = { orm: config(cluster.url('writer')), replicas, ...options } as EngineOptions
      t.match(await refusal(t, { writer: wrong }), {
        code: CODE,
        message: /engines\.writer replicas are read from/,
      })
    }
  })

  t.test('a URL that is none is not repeated', async t => {
    for (const clientUrl of [
      [],
      `postgresql://app:${PASSWORD}@db:port/x`,
      [`postgresql://app:${PASSWORD}%@db/x`],
      'db',
    ]) {
      const orm = { ...readerConfig, clientUrl } as EngineOptions['orm']
      t.match(await refusal(t, { writer: { orm } }), {
        code: CODE,
        message: /engines\.writer\.orm\.clientUrl /,
      })
    }
    const wrong = {
      ...reader,
      replicas: [{ clientUrl: `postgresql://app:${PASSWORD}@db:port/x` }],
    } as EngineOptions
    t.match(await refusal(t, { writer, reader: wrong }), {
      code: CODE,
      message: /replicas\[0\]\.clientUrl is not a URL/,
    })
  })

  t.test('an engine that is added later is checked as well', async t => {
    const app = await register(t, { writer, reader }, { consistency: 'eventual' })
    const { engines } = app.sqlAssist
    await engines.add('archive', reader)
    t.equal(engines.get('archive').replicas.length, 1)
    const [one] = replicas
    await t.rejects(engines.add('twice', { ...reader, replicas: [one, one] } as EngineOptions), {
      code: CODE,
    })
    t.notOk(engines.has('twice'))
    const plain = await register(t, { writer }, 'none')
    await t.rejects(plain.sqlAssist.engines.add('reader', reader), { code: CODE })
  })

  t.test('what was refused left no connection behind', async t => {
    const client = new pg.Client(cluster.primary.url)
    await client.connect()
    t.teardown(() => client.end())
    let left: unknown[] = []
    await eventually(async () => {
      const { rows } = await client.query(
        "select application_name, count(*) from pg_stat_activity where application_name like '%sqlassist%' group by 1",
      )
      left = rows
      return rows.length === 0
    })
    t.same(left, [])
  })
})

/** `{ a: { b: value } }` for `['a', 'b']`; what a token must have is there. */
function optionsWith(path: readonly string[], value: unknown): unknown {
  const [first, ...rest] = path
  if (first === undefined) return value
  const inner = optionsWith(rest, value)
  const fill = first === 'token' && rest.length > 0 && rest[0] !== 'secret' ? token : {}
  return { [first]: rest.length === 0 ? inner : { ...fill, ...(inner as object) } }
}
