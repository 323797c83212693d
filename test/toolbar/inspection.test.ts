import { mock } from 'node:test'
import { serialize } from '@mikro-orm/core'
import t from 'tap'
import { LagSampler } from '../../plugins/toolbar/lag-sampler.ts'
import { Ring } from '../../plugins/toolbar/ring.ts'
import { inspectSession } from '../../plugins/toolbar/session-inspection.ts'
import { Item, Tag, toolbarSite } from './site.ts'

t.test(
  'what a session has not flushed is seen, and is flushed afterwards as if nobody had looked',
  async t => {
    const app = await toolbarSite(t)
    await app.sqlAssist.run(async db => {
      for (const name of ['chair', 'table', 'lamp']) db.writer.create(Item, { name })
    })
    await app.sqlAssist.run(async db => {
      const em = db.writer
      const [chair, table, lamp] = await em.find(Item, {}, { orderBy: { id: 1 }, populate: ['tags'] })
      t.same(inspectSession(em), { identityMap: 3, unflushed: [] })
      if (chair === undefined || table === undefined || lamp === undefined) throw new Error('no items')
      chair.name = 'stool'
      table.tags.add(em.create(Tag, { label: 'old', item: table }, { persist: false }))
      em.create(Item, { name: 'desk' })
      em.create(Item, { name: 'shelf' })
      em.remove(lamp)
      const before = em.getUnitOfWork().getChangeSets().length
      const pending = {
        identityMap: 3,
        unflushed: ['create Tag', 'create Item (2)', 'update Item', 'delete Item'],
      }
      t.same(inspectSession(em), pending)
      t.same(inspectSession(em), pending, 'looking changes nothing')
      t.equal(em.getUnitOfWork().getChangeSets().length, before)
      await em.flush()
      t.same(inspectSession(em), { identityMap: 5, unflushed: [] })
    })
    const items = await app.sqlAssist.run(async db =>
      (await db.writer.find(Item, {}, { orderBy: { id: 1 }, populate: ['tags'] })).map(item =>
        serialize(item, { populate: ['tags'] }),
      ),
    )
    t.match(items, [
      { name: 'stool' },
      { name: 'table', tags: [{ label: 'old' }] },
      { name: 'desk' },
      { name: 'shelf' },
    ])
    t.equal(items.length, 4)
    t.equal(inspectSession({} as never), undefined, 'what cannot be looked at is left alone')
  },
)

t.test('how replicas are is kept for ten minutes, and not longer', async t => {
  const clock = mock.timers
  clock.enable({ apis: ['setInterval', 'Date'] })
  t.teardown(() => clock.reset())
  const replica = { name: 'one', state: 'online', lag: { ms: 3, bytes: 10 } as object | undefined }
  let heard = 0
  const engines = [
    { name: 'writer', replicas: [] },
    { name: 'reader', replicas: [replica] },
  ]
  const sampler = new LagSampler(engines as never, () => heard++)
  clock.tick(2_000)
  t.equal(heard, 2)
  replica.state = 'down'
  replica.lag = undefined
  sampler.sample()
  const [history] = sampler.list()
  t.match(history, { engine: 'reader', replica: 'one' })
  t.match(history?.samples, [
    { state: 'online', lag: { ms: 3, bytes: 10 } },
    { state: 'online' },
    { state: 'down', lag: undefined },
  ])
  for (let second = 0; second < 1_200; second++) clock.tick(1_000)
  const { length } = sampler.list()[0]?.samples ?? []
  t.ok(length >= 599 && length <= 601, `${length} samples`)
  for (let n = 0; n < 5_000; n++) sampler.sample()
  t.ok((sampler.list()[0]?.samples.length ?? 0) <= 2_000, 'however often they change')
  sampler.stop()
  const before = heard
  clock.tick(10_000)
  t.equal(heard, before)
})

t.test('a ring keeps the newest of each kind', async t => {
  const ring = new Ring<{ id: number; kind: string }>(3)
  for (let id = 1; id <= 5; id++) ring.add({ id, kind: 'request' })
  t.same(
    ring.list().map(({ id }) => id),
    [5, 4, 3],
  )
  t.equal(ring.get(2), undefined)
  t.same(ring.get(4), { id: 4, kind: 'request' })
  for (let id = 6; id <= 10; id++) ring.add({ id, kind: 'scope' })
  t.same(
    ring.list().map(({ id }) => id),
    [10, 9, 8, 5, 4, 3],
    'jobs do not push out requests',
  )
  ring.clear()
  t.same(ring.list(), [])
  for (let id = 11; id <= 14; id++) ring.add({ id, kind: 'request' })
  t.same(
    ring.list().map(({ id }) => id),
    [14, 13, 12],
    'and it begins anew',
  )
})
