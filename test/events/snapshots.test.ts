import t from 'tap'
import { snapshotOf } from '../../plugins/events/aggregate.ts'
import { Aggregate, Application, Datastore, NAMESPACE_URL, uuid5 } from '../../plugins/events/index.ts'
import { SnapshotRecorder } from '../../plugins/events/snapshot-recorder.ts'
import { onEveryBackend } from '../support/backends.ts'
import { random } from '../support/random.ts'
import { Dog, schoolOn, type TrainingSchool } from './school.ts'

// Snapshots: a shorter way to the same state.

const everything = {
  Changed(one: Everything, { key, value }: { key: string; value: unknown }) {
    one.values.set(key, value)
    one.keys.add(key)
    one.last = value
    one.nested.changes.push({ key, at: one.version })
  },
}

/** Whatever an aggregate may hold. */
class Everything extends Aggregate<typeof everything> {
  static override readonly appliers = everything
  values = new Map<string, unknown>()
  keys = new Set<string>()
  last: unknown = undefined
  nested: { changes: { key: string; at: number }[] } = { changes: [] }

  change(key: string, value: unknown): void {
    this.trigger('Changed', { key, value })
  }
}

function anyValue(next: () => number): unknown {
  const values = [
    null,
    true,
    next(),
    -0,
    Number.POSITIVE_INFINITY,
    'text \u0000 "quoted" ü',
    new Date(Math.floor(next() * 1e12)),
    BigInt(Math.floor(next() * 1e15)) ** 3n,
    Buffer.from([1, 2, 255]),
    [1, [2, { a: new Set([1, 'b']) }]],
    new Map<unknown, unknown>([
      ['a', new Date(0)],
      [2, { b: 1n }],
    ]),
    { _type_: 'date', _data_: 'not one' },
    { __proto__: null, deep: { deeper: [undefined, null] } },
  ]
  return values[Math.floor(next() * values.length)]
}

async function snapshotsOf(school: TrainingSchool, id: string): Promise<number[]> {
  const recorder = new SnapshotRecorder({
    datastore: new Datastore(school.options.on),
    table: school.recorder.tables.snapshots,
  })
  return (await recorder.selectEvents(id)).map(({ originatorVersion }) => originatorVersion)
}

/** How many events are read of an aggregate. */
async function readOf(school: TrainingSchool, id: string): Promise<number> {
  let read = 0
  const { recorder } = school
  const select = recorder.selectEvents.bind(recorder)
  recorder.selectEvents = async (...parameters) => {
    const rows = await select(...parameters)
    read += rows.length
    return rows
  }
  await school.repository.get(id)
  recorder.selectEvents = select
  return read
}

await onEveryBackend(
  t,
  (t, backend) => {
    t.test('takeSnapshot: what came before is not read any more', async t => {
      const { school } = await schoolOn(t, backend)
      const dog = await school.register('fido')
      for (const trick of ['sit', 'roll', 'jump', 'swim']) {
        dog.addTrick(trick)
        await school.save(dog)
      }
      t.equal(await readOf(school, dog.id), 5)
      await school.takeSnapshot(dog.id, { version: 3 })
      t.equal(await readOf(school, dog.id), 2)
      await school.takeSnapshot(dog.id)
      await school.takeSnapshot(dog.id)
      t.same(await snapshotsOf(school, dog.id), [3, 5])
      t.equal(await readOf(school, dog.id), 0)
      t.same(await school.tricks('fido'), ['sit', 'roll', 'jump', 'swim'])
      for (const [version, tricks] of [
        [1, []],
        [3, ['sit', 'roll']],
        [4, ['sit', 'roll', 'jump']],
      ] as const) {
        const then = await school.repository.get(dog.id, { version })
        t.same([then.version, then.tricks], [version, tricks])
      }
      await t.rejects(school.takeSnapshot(dog.id, { version: 6 }), { code: 'SQLA_ERR_AGGREGATE_NOT_FOUND' })
      await t.rejects(school.takeSnapshot(Dog.idOf('nobody')), { code: 'SQLA_ERR_AGGREGATE_NOT_FOUND' })
    })

    t.test('snapshotEvery: in the transaction of the events, however many come at once', async t => {
      const { school } = await schoolOn(t, backend, { snapshotEvery: 3 })
      const dog = await school.register('fido')
      const train = async (count: number) => {
        for (let n = 0; n < count; n++) dog.addTrick(`trick ${dog.version}`)
        await school.save(dog)
      }
      await train(1)
      t.same(await snapshotsOf(school, dog.id), [])
      await train(1)
      t.same(await snapshotsOf(school, dog.id), [3])
      await train(7)
      t.same(await snapshotsOf(school, dog.id), [3, 10])
      await train(1)
      t.same(await snapshotsOf(school, dog.id), [3, 10])
      // Whatever somebody has set: the events count.
      dog.name = 'not an event'
      await t.rejects(
        school.transaction(async () => {
          await train(1)
          t.same(await snapshotsOf(school, dog.id), [3, 10, 12])
          throw new TypeError('after all not')
        }),
      )
      t.same(await snapshotsOf(school, dog.id), [3, 10])
      const again = await school.get('fido')
      again.addTrick('twelfth')
      again.name = 'not an event'
      await school.save(again)
      t.same(await snapshotsOf(school, dog.id), [3, 10, 12])
      t.equal((await school.get('fido')).name, 'fido')
      const many = Dog.register('many')
      for (let n = 0; n < 5; n++) many.addTrick(`${n}`)
      await school.save(many, dog)
      t.same(await snapshotsOf(school, many.id), [6])
    })

    t.test('snapshotEvery by topic; what is no number of versions is refused', async t => {
      const { school } = await schoolOn(t, backend, { snapshotEvery: { Dog: 2 } })
      const dog = Dog.register('fido')
      dog.addTrick('sit')
      await school.save(dog)
      t.same(await snapshotsOf(school, dog.id), [2])
      const made = (snapshotEvery: unknown) => () =>
        new Application({ ...school.options, snapshotEvery: snapshotEvery as number })
      for (const wrong of [0, -1, 1.5, Number.NaN, '3', { Cat: 2 }, { Dog: 0 }]) {
        t.throws(made(wrong), { code: 'SQLA_ERR_INVALID_OPTION', message: /snapshotEvery/ })
      }
    })

    t.test('a snapshot of another snapshotVersion is not used', async t => {
      const { school } = await schoolOn(t, backend, { snapshotEvery: 2 })
      const dog = Dog.register('fido')
      dog.addTrick('sit')
      await school.save(dog)
      class NewDog extends Dog {
        static override readonly topic: string = 'Dog'
        static override readonly snapshotVersion = 2
      }
      const newSchool = new Application({ ...school.options, aggregates: [NewDog] })
      t.equal(await readOf(newSchool as never, dog.id), 2, 'all events are read')
      t.same((await newSchool.repository.get(dog.id)).tricks, ['sit'])
      await newSchool.takeSnapshot(dog.id)
      t.same(await snapshotsOf(school, dog.id), [2], 'in the place of the other one')
      t.equal(await readOf(newSchool as never, dog.id), 0)
      t.equal(await readOf(school, dog.id), 2, 'which is not used by the former version')
    })

    t.test('with and without snapshots an aggregate is the same', async t => {
      const { school, app } = await schoolOn(t, backend)
      const next = random(7)
      const options = {
        on: app.sqlAssist.engines.get('writer'),
        aggregates: [Everything],
        name: school.options.name ?? '',
      }
      const plain = new Application<typeof Everything>(options)
      const snapping = new Application<typeof Everything>({ ...options, snapshotEvery: 4, cache: { max: 3 } })
      // A snapshot is the same bytes everywhere.
      const rounds = backend.dialect === 'sqlite' ? 12 : 2
      for (let round = 0; round < rounds; round++) {
        const id = uuid5(NAMESPACE_URL, `/everything/${round}`)
        const first = Everything.create('Changed', { key: 'first', value: anyValue(next) }, { id })
        await snapping.save(first)
        for (let n = 0; n < 12; n++) {
          const one = await snapping.repository.get(id)
          for (let more = 0; more <= Math.floor(next() * 3); more++)
            one.change(`key ${Math.floor(next() * 9)}`, anyValue(next))
          await snapping.save(one)
        }
        const now = snapshotOf(await plain.repository.get(id))
        // The cached one, then one of the last snapshot.
        t.same(snapshotOf(await snapping.repository.get(id)), now)
        t.same(
          snapshotOf(
            await new Application<typeof Everything>({ ...options, snapshotEvery: 4 }).repository.get(id),
          ),
          now,
        )
        const version = 1 + Math.floor(next() * now.originatorVersion)
        const then = snapshotOf(await snapping.repository.get(id, { version }))
        let replayed: Everything | undefined
        for (const event of (await plain.events.get(id)).slice(0, version)) {
          const { key, value } = event.data as { key: string; value: unknown }
          if (replayed === undefined) replayed = Everything.create('Changed', { key, value }, { id })
          else replayed.change(key, value)
        }
        t.same(
          (then.data as { fields: unknown }).fields,
          (snapshotOf(replayed as Everything).data as { fields: unknown }).fields,
        )
      }
    })
  },
  ['PostgreSQL', 'MariaDB', 'SQLite'],
)
