import type { FastifyInstance } from 'fastify'
import t from 'tap'
import type { EmbeddedCluster } from '../../plugins/embedded/index.ts'
import type { TokenTransport } from '../../src/index.ts'
import { TokenSigner } from '../../src/routing/causal-token.ts'
import { type Position, parseLsn } from '../../src/routing/position.ts'
import { type Answer, Audit, NOTHING, Note, ormConfig, type TestApp, testApp } from '../support/app.ts'
import {
  addNoteRoutes,
  allCurrent,
  Browser,
  databaseOf,
  PATIENT_PROBE,
  replicatedCluster,
  routedApp,
  SECRET,
  serverNames,
  tapped,
} from '../support/routed-app.ts'
import { WireTap } from '../support/wire-tap.ts'

type Tagged = { Params: { tag: string } }

/** Ways to answer a request that has written, or read. */
function routes(app: FastifyInstance): void {
  addNoteRoutes(app)
  const written = (
    db: { writer: { create(entity: typeof Note, data: object): unknown } },
    tag: string,
    body = 'a',
  ) => db.writer.create(Note, { tag, body })
  app.post<Tagged>(
    '/moved/:tag',
    { config: { db: { commitMode: 'autocommit_include_redirect' } } },
    (request, reply) => {
      written(request.db, request.params.tag)
      reply.redirect(`/notes/${request.params.tag}`, 303)
    },
  )
  app.post<Tagged>('/empty/:tag', (request, reply) => {
    written(request.db, request.params.tag)
    reply.code(204).send()
  })
  app.post<Tagged>('/refused/:tag', async (request, reply) => {
    written(request.db, request.params.tag, 'refused')
    reply.code(201)
    return {}
  })
  app.post<Tagged>('/thrown/:tag', async request => {
    written(request.db, request.params.tag)
    await request.db.writer.flush()
    throw new Error('thrown')
  })
  app.post<Tagged>('/logged/:tag', async (request, reply) => {
    request.db.logger.create(Audit, { tag: request.params.tag })
    reply.code(500)
    return {}
  })
  app.get<Tagged>('/unmodified/:tag', async (request, reply) => {
    await request.db.reader.findOne(Note, { tag: request.params.tag })
    reply.code(304)
  })
  app.get('/nothing', async () => ({}))
  app.get('/untouched', async request => ({ status: request.db.status }))
  app.post<Tagged>('/hijacked/:tag', async (request, reply) => {
    reply.hijack()
    written(request.db, request.params.tag)
    await request.db.commit()
    reply.raw.writeHead(201, { 'set-cookie': `sqlassist=${request.db.token}` }).end()
  })
}

t.test('what a token brings about', async t => {
  const cluster = await replicatedCluster(t, 2)
  const names = serverNames(cluster)
  const owner = databaseOf(cluster, t)
  const base = { routes, max: 8, server: { logger: false } } as const
  const routing = { probe: PATIENT_PROBE, wait: 50 }
  const test = await routedApp(t, cluster, { ...base, routing: { ...routing, token: { secret: SECRET } } })
  const { tokens } = test.app.sqlAssist.routing
  const serverOf = (answer: Answer) => names[JSON.parse(answer.body).port as number]
  const positionNow = async (): Promise<Position> => {
    const [row] = await owner.sql<{ system: string; lsn: string }>(
      'select (select system_identifier::text from pg_control_system()) as system, pg_current_wal_flush_lsn()::text as lsn',
    )
    return { system: row?.system ?? '', timeline: 1, lsn: parseLsn(row?.lsn ?? '') }
  }
  const withToken = (token: string): Browser => {
    const browser = new Browser(test)
    browser.cookies = { sqlassist: token }
    return browser
  }
  const tokenAfter = async (path: string): Promise<string | undefined> => {
    const browser = new Browser(test)
    await browser.ask('POST', path, {})
    return browser.cookies.sqlassist
  }
  /** What was counted since, of what is not 0. */
  const counting = () => {
    const before = { ...tokens }
    return () =>
      Object.fromEntries(
        (Object.keys(tokens) as (keyof typeof tokens)[])
          .map(key => [key, tokens[key] - before[key]] as const)
          .filter(([, count]) => count > 0),
      )
  }

  await t.test('replayed by another client: it reads what may be read, and fresher', async t => {
    await allCurrent(test, cluster)
    await pauseAll(cluster)
    const token = (await tokenAfter('/notes/replayed')) as string
    const counted = counting()
    const answer = await withToken(token).ask('GET', '/notes/replayed')
    t.same([answer.status, serverOf(answer)], [200, 'primary'])
    t.same(counted(), { accepted: 1 })
  })

  await t.test(
    'unusable ones are counted and ignored: the primary answers, as nobody knows what they said',
    async t => {
      await allCurrent(test, cluster)
      const position = await positionNow()
      const signer = new TokenSigner([SECRET], 300_000)
      const good = signer.sign([position])
      const cases: [string, string, string][] = [
        ['truncated', good.slice(0, -3), 'malformed'],
        ['truncated to the first point', good.slice(0, 3), 'malformed'],
        ['without its signature', good.slice(0, good.lastIndexOf('.')), 'malformed'],
        ['empty', '', 'malformed'],
        ['long', `v1.${'a'.repeat(5_000)}.x`, 'malformed'],
        [
          'of another secret',
          new TokenSigner(['another secret, long enough'], 300_000).sign([position]),
          'forged',
        ],
        ['altered', good.replace(/~(.)/, (_all, digit) => `~${digit === '1' ? '2' : '1'}`), 'forged'],
        ['expired', new TokenSigner([SECRET], 300_000).sign([position], Date.now() - 301_000), 'expired'],
      ]
      for (const [name, token, reason] of cases) {
        const counted = counting()
        const browser = withToken(token)
        const answer = await browser.ask('GET', '/notes/replayed')
        t.same([answer.status, counted()], [200, { [reason]: 1 }], name)
        if (reason === 'expired') {
          t.match(serverOf(answer), /replica/, `${name}: by now every replica has what it knew`)
        } else {
          t.equal(serverOf(answer), 'primary', `${name}: the primary serves`)
        }
        t.type(signer.verify(browser.cookies['sqlassist-read'] as string), Array, 'it gets a good one')
        t.equal((await browser.ask('POST', `/notes/${encodeURIComponent(name)}`, {})).status, 201)
        await pauseAll(cluster)
        t.equal(
          (await browser.ask('GET', `/notes/${encodeURIComponent(name)}`)).status,
          200,
          'from then on it counts',
        )
        await allCurrent(test, cluster)
      }
    },
  )

  await t.test('an expired one is older than any replica that serves is late', async t => {
    await t.rejects(
      routedApp(t, cluster, { routing: { maxLag: { ms: 500 }, token: { secret: SECRET, maxAge: 500 } } }),
      { code: 'SQLA_ERR_INVALID_OPTION' },
    )
  })

  await t.test('of a position that is not there yet: the primary answers', async t => {
    await allCurrent(test, cluster)
    const position = await positionNow()
    for (const future of [
      { ...position, lsn: position.lsn + (1n << 40n) },
      { ...position, timeline: 7 },
    ]) {
      const browser = withToken(new TokenSigner([SECRET], 300_000).sign([future]))
      t.equal((await browser.ask('POST', '/notes/future', {})).status, 201)
      const answer = await browser.ask('GET', '/notes/future')
      t.same([answer.status, serverOf(answer)], [200, 'primary'])
    }
  })

  await t.test('of another cluster: it says nothing of this one, and both are carried on', async t => {
    await allCurrent(test, cluster)
    const other = await replicatedCluster(t, 1)
    const there = await routedApp(t, other, { ...base, routing: { ...routing, token: { secret: SECRET } } })
    await allCurrent(there, other)
    const traveller = new Browser(there)
    // The other one is further on than this one.
    await databaseOf(other, t).sql(
      'select pg_switch_wal(), pg_logical_emit_message(true, $1, repeat($1, 10000))',
      ['x'],
    )
    for (let at = 0; at < 3; at++) await databaseOf(other, t).sql('select pg_switch_wal()')
    await traveller.ask('POST', '/notes/there', {})
    const here = withToken(traveller.cookies.sqlassist as string)
    const counted = counting()
    const answer = await here.ask('GET', '/notes/replayed')
    t.equal(answer.status, 200)
    t.match(serverOf(answer), /replica/)
    t.same(counted(), { accepted: 1 })
    await pauseAll(cluster)
    await pauseAll(other)
    await here.ask('POST', '/notes/here', {})
    t.equal((await here.ask('GET', '/notes/here')).status, 200)
    traveller.cookies = here.cookies
    t.equal(
      (await traveller.ask('GET', '/notes/there')).status,
      200,
      'the position there was not lost on the way',
    )
    await allCurrent(there, other)
    t.same(await there.remains(), NOTHING)
  })

  await t.test('it is sent when there is something new to say, whatever the answer is', async t => {
    await allCurrent(test, cluster)
    const browser = new Browser(test)
    const sends = async (method: string, path: string): Promise<[number | undefined, boolean]> => {
      const { status, headers } = await browser.ask(method, path, method === 'POST' ? {} : undefined)
      return [status, headers['set-cookie'] !== undefined]
    }
    const settled = async (): Promise<void> => {
      for (const replica of cluster.replicas) await replica.caughtUp()
      // Until both have served it, and neither knows more than the token.
      for (let read = 0; read < 50; read++)
        if (!(await sends('GET', '/notes/replayed'))[1] && read > 20) return
    }
    t.same(await sends('GET', '/nothing'), [200, false])
    t.same(await sends('GET', '/untouched'), [200, false])
    t.same(await sends('POST', '/notes/new'), [201, true])
    await settled()
    t.same(await sends('GET', '/notes/replayed'), [200, false], 'a read that has seen nothing new')
    t.same(await sends('GET', '/unmodified/replayed'), [304, false])
    await owner.sql(`insert into note (tag, body) values ('of others', 'x')`)
    for (const replica of cluster.replicas) await replica.caughtUp()
    t.same(
      await sends('GET', '/unmodified/replayed'),
      [304, true],
      'a 304, behind the write of somebody else',
    )
    await owner.sql(`insert into note (tag, body) values ('of others', 'x')`)
    for (const replica of cluster.replicas) await replica.caughtUp()
    t.same(await sends('GET', '/notes/nobody'), [404, true], 'a 404: that it is not there was read as well')
    await settled()
    t.same(await sends('POST', '/refused/a'), [500, false], 'a COMMIT that failed')
    t.same(await sends('POST', '/thrown/a'), [500, false], 'a transaction that was rolled back')
    for (const [path, status] of [
      ['/moved/tag-moved', 303],
      ['/empty/tag-empty', 204],
      ['/hijacked/tag-hijacked', 201],
    ] as const) {
      await allCurrent(test, cluster)
      await pauseAll(cluster)
      t.same(await sends('POST', path), [status, true], path)
      const [tag] = path.split('/').slice(-1)
      t.equal((await browser.ask('GET', `/notes/${tag}`)).status, 200, 'and it counts')
    }
    await allCurrent(test, cluster)
    await settled()
    t.same(await sends('POST', '/logged/error'), [500, true], 'what the logger saved of a 500')
  })

  await t.test('as a header, and by a transport of its own', async t => {
    await allCurrent(test, cluster)
    const kept = new Map<string, string>()
    const perUser: TokenTransport = {
      read: request => kept.get(String(request.headers['x-user'])),
      write: (reply, token) => void kept.set(String(reply.request.headers['x-user']), token),
    }
    for (const transport of ['header', perUser] as const) {
      const other = await routedApp(t, cluster, {
        ...base,
        routing: { ...routing, token: { secret: SECRET, transport } },
      })
      await allCurrent(other, cluster)
      await pauseAll(cluster)
      const tag = typeof transport === 'string' ? transport : 'custom'
      const headers = { 'x-user': 'ann' }
      const written = await other.ask('POST', `/notes/${tag}`, { headers, body: {} })
      t.equal(written.headers['set-cookie'], undefined)
      const token = written.headers['x-sqlassist-token'] as string | undefined
      t.equal(token !== undefined, transport === 'header')
      const back = { ...headers, ...(token === undefined ? {} : { 'x-sqlassist-token': token }) }
      t.equal((await other.ask('GET', `/notes/${tag}`, { headers: back })).status, 200)
      t.equal((await other.ask('GET', `/notes/${tag}`, { headers: { 'x-user': 'ben' } })).status, 404)
      await allCurrent(other, cluster)
    }
  })

  await t.test('it costs no message: neither a write nor a read sends more than without', async t => {
    const tap = await WireTap.of(t, cluster)
    const config = (url: string) =>
      ormConfig(tap.url(url), { pool: { min: 1, max: 1, idleTimeoutMillis: 0 } })
    const plain = await testApp(t, owner, {
      routes,
      server: { logger: false },
      plugin: { commitMode: 'autocommit' },
      engines: {
        writer: { orm: config(cluster.url('app_writer')) },
        reader: { snapshot: false, orm: config(cluster.url('app_reader', cluster.primary)) },
        logger: { orm: config(cluster.url('app_logger')) },
      },
    })
    const { reader, engines } = tapped(cluster, tap, {}, 1)
    const routed = await routedApp(t, cluster, {
      ...base,
      reader,
      engines,
      routing: { ...routing, token: { secret: SECRET } },
    })
    await allCurrent(routed, cluster)
    const messages = async (of: TestApp): Promise<Record<string, number>> => {
      const browser = new Browser(of)
      const counts: Record<string, number> = {}
      for (let round = 0; round < 4; round++) {
        await allCurrent(routed, cluster)
        for (const [name, method, path] of [
          ['insert and COMMIT', 'POST', `/notes/counted-${round}`],
          ['read', 'GET', `/unmodified/counted-${round}`],
        ] as const) {
          tap.taken()
          const { status } = await browser.ask(method, path, method === 'POST' ? {} : undefined)
          if (status !== 201 && status !== 304) throw new Error(`${path}: ${status}`)
          if (round > 0) counts[name] = Math.max(counts[name] ?? 0, tap.messages.length)
        }
      }
      return counts
    }
    const expected = { 'insert and COMMIT': 2, read: 1 }
    t.same(await messages(plain), expected, 'without routing')
    t.same(await messages(routed), expected, 'with routing and a token')
  })

  t.same(await test.remains(), NOTHING)
})

async function pauseAll(cluster: EmbeddedCluster): Promise<void> {
  for (const replica of cluster.replicas) await replica.pauseReplay()
}
