import t from 'tap'
import { qualifies } from '../../plugins/repository/condition-shape.ts'
import {
  beforeAfter,
  comparison,
  exists,
  filterGroup,
  limitOffset,
  notExists,
  orderBy,
  Repository,
  search,
} from '../../plugins/repository/index.ts'
import type { SqlEm } from '../../src/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { Author, library, Note, Shelf, Tag } from './library.ts'

await onEveryBackend(t, async (t, backend) => {
  const { em, within, sqlOf } = await library(t, backend, {
    filters: { onlyPinned: { entity: ['Note'], cond: { pinned: true }, default: false } } as never,
  })
  const notes = (on: SqlEm) => new Repository(Note, on)

  /** Notes a to e; a and b are Ada's, c is Bob's; a has two tags, b one. */
  const filled = <R>(fn: (em: SqlEm) => Promise<R>): Promise<R> =>
    within(async em => {
      const [ada, bob] = (await new Repository(Author, em).addMany([{ name: 'Ada' }, { name: 'Bob' }])) as [
        Author,
        Author,
      ]
      const [work, play] = (await new Repository(Tag, em).addMany([{ name: 'work' }, { name: 'play' }])) as [
        Tag,
        Tag,
      ]
      await notes(em).addMany([
        { title: 'a', author: ada, tags: [work, play] },
        { title: 'b', author: ada, pinned: true, tags: [work] },
        { title: 'c', author: bob, pinned: true },
        { title: 'd' },
        { title: 'e' },
      ])
      em.clear()
      return fn(em)
    })
  const titles = (rows: readonly { title: string }[]) => rows.map(({ title }) => title).join('')

  t.test('get, getOne, getOneOrNull', t =>
    filled(async em => {
      const a = await notes(em).getOne(comparison('title', 'eq', 'a'))
      t.equal(await notes(em).get(a.id), a)
      t.equal(await notes(em).get(String(a.id) as never), a, 'a key out of a URL')
      t.equal(await notes(em).getOneOrNull({ title: 'z' }), null)
      await t.rejects(notes(em).get(-1), {
        code: 'SQLA_ERR_NOT_FOUND',
        statusCode: 404,
        message: 'There is no Note with this id',
      })
      await t.rejects(notes(em).getOne({ title: 'z' }), {
        code: 'SQLA_ERR_NOT_FOUND',
        message: 'There is no Note with this condition',
      })
      await t.rejects(notes(em).getOne(), { code: 'SQLA_ERR_SEVERAL_FOUND', statusCode: 500 })
      t.match(await notes(em).getOne(orderBy('title', 'desc'), limitOffset(1)), { title: 'e' })
    }),
  )

  t.test('list takes filters, orders, pages and conditions of MikroORM, in any order', t =>
    filled(async em => {
      t.equal(titles(await notes(em).list(limitOffset(2, 1), orderBy('title', 'desc'))), 'dc')
      t.equal(titles(await notes(em).list({ author: { name: 'Ada' } }, orderBy('title'))), 'ab')
      t.equal(
        titles(
          await notes(em).list(
            orderBy('author.name', 'desc'),
            orderBy('title', 'desc'),
            comparison(
              'author',
              'in',
              [...(await new Repository(Author, em).list())].map(({ id }) => id),
            ),
          ),
        ),
        'cba',
      )
      t.strictSame(await notes(em).list(limitOffset(0)), [])
      t.strictSame(await notes(em).list(limitOffset(Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER)), [])
    }),
  )

  t.test('pages have an order although none was asked for', t =>
    filled(async em => {
      const pages = [0, 1, 2, 3, 4].map(at => notes(em).list(limitOffset(1, at)))
      t.equal(titles((await Promise.all(pages)).flat()), 'abcde')
      const [sql] = await sqlOf(() => notes(em).list(orderBy('title'), limitOffset(1)))
      t.match(sql?.replaceAll('`', '"'), /order by "n0"\."title" asc, "n0"\."id" asc limit 1$/)
    }),
  )

  t.test("an entity's own order holds, behind what was asked for and before the key", t =>
    within(async em => {
      await new Repository(Shelf, em).addMany(['a', 'c', 'b'].map(label => ({ label })))
      const labels = (rows: readonly { label: string }[]) => rows.map(({ label }) => label).join('')
      for (const count of ['window', 'separate'] as const) {
        const shelves = new Repository(Shelf, em, { count })
        t.equal(labels(await shelves.list()), 'cba')
        t.equal(labels(await shelves.list(limitOffset(2))), 'cb')
        t.equal(labels((await shelves.listAndCount())[0]), 'cba')
        t.equal(labels((await shelves.listAndCount(limitOffset(2)))[0]), 'cb')
        t.equal(labels((await shelves.listAndCount(orderBy('label'), limitOffset(2)))[0]), 'ab')
      }
    }),
  )

  t.test('listAndCount gives a page and the number of rows on all pages, in one statement', t =>
    filled(async em => {
      const list = async (count: 'window' | 'separate', ...filters: Parameters<Repository<Note>['list']>) => {
        let seen: unknown
        const sql = await sqlOf(async () => {
          const [items, total] = await new Repository(Note, em, { count }).listAndCount(...filters)
          seen = [titles(items), total]
        })
        return [...(seen as [string, number]), sql.length]
      }
      const cases: [
        Parameters<Repository<Note>['list']>,
        string,
        number,
        window: number,
        separate: number,
      ][] = [
        [[orderBy('id'), limitOffset(2)], 'ab', 5, 1, 2],
        [[orderBy('id'), limitOffset(2, 4)], 'e', 5, 1, 2],
        [[orderBy('id'), limitOffset(9)], 'abcde', 5, 1, 1],
        [[orderBy('id')], 'abcde', 5, 1, 1],
        [[limitOffset(2, 99)], '', 5, 2, 2],
        [[limitOffset(0)], '', 5, 2, 2],
        [[{ title: 'z' }, limitOffset(2)], '', 0, 1, 1],
        [[exists('tags'), limitOffset(1)], 'a', 2, 1, 2],
        [[notExists('tags'), limitOffset(1)], 'c', 3, 1, 2],
        [[orderBy('author.name', 'desc'), { author: { name: { $ne: null } } }, limitOffset(1)], 'c', 3, 1, 2],
        // A join that has two rows of note a.
        [[{ tags: { name: { $ne: null } } }, orderBy('id'), limitOffset(2)], 'ab', 2, 2, 2],
        [[{ tags: { name: { $ne: null } } }, orderBy('id'), limitOffset(1)], 'a', 2, 2, 2],
      ]
      for (const [filters, found, total, window, separate] of cases) {
        t.strictSame(await list('window', ...filters), [found, total, window], JSON.stringify(filters))
        t.strictSame(await list('separate', ...filters), [found, total, separate], JSON.stringify(filters))
      }
      const [[first]] = await notes(em).load('author', 'tags').listAndCount(orderBy('id'), limitOffset(1))
      t.equal(first?.author?.$.name, 'Ada')
      t.equal(first?.tags.length, 2)
    }),
  )

  t.test('what has not been flushed is seen, and what was changed is kept', t =>
    filled(async em => {
      const a = await notes(em).getOne({ title: 'a' })
      em.create(Note, { title: 'f' })
      a.title = 'A'
      for (const [, total] of [await notes(em).listAndCount(limitOffset(1)), await notes(em).listAndCount()])
        t.equal(total, 6)
      t.equal(await notes(em).count(), 6)
      em.create(Note, { title: 'g' })
      t.equal(await notes(em).exists({ title: 'g' }), true)
      t.equal(a.title, 'A')
    }),
  )

  t.test("MikroORM's global filters hold, also those of relations", t =>
    filled(async em => {
      em.addFilter({ name: 'bob', entity: Author, cond: { name: 'Bob' }, default: false } as never)
      em.addFilter({ name: 'pinned', entity: Note, cond: { pinned: true } } as never)
      for (const count of ['window', 'separate'] as const) {
        const filtered = new Repository(Note, em, { count })
        const [items, total] = await filtered.listAndCount(orderBy('id'), limitOffset(1))
        t.strictSame([titles(items), total], ['b', 2])
        t.equal(await filtered.count(), 2)
        t.equal(await filtered.exists({ title: 'a' }), false)
      }
      em.addFilter({ name: 'onlyBob', entity: Author, cond: { name: 'Bob' } } as never)
      const answers: unknown[] = []
      for (const count of ['window', 'separate'] as const) {
        em.clear()
        const [items, total] = await new Repository(Note, em, { count }).listAndCount(orderBy('id'))
        answers.push([items.map(({ title, author }) => [title, author?.id]), total])
      }
      t.strictSame(answers[0], answers[1], 'a filter on a relation')
    }),
  )

  t.test('count and exists', t =>
    filled(async em => {
      t.equal(await notes(em).count(orderBy('title'), limitOffset(1)), 5, 'pages do not matter')
      t.equal(await notes(em).count({ tags: { name: { $ne: null } } }), 2)
      t.equal(await notes(em).exists({ tags: { name: 'play' } }), true)
      t.equal(await notes(em).exists(search('title', 'z')), false)
      const [sql] = await sqlOf(() => notes(em).exists())
      t.match(sql, /limit 1$/)
    }),
  )

  t.test('load brings relations along, in every method that reads', t =>
    filled(async em => {
      const loaded = notes(em).load('author')
      const { id } = await loaded.getOne({ title: 'a' })
      em.clear()
      const names = [
        (await loaded.get(id)).author?.$.name,
        (await loaded.list({ id }))[0]?.author?.$.name,
        (await loaded.update(id, { pinned: true })).author?.$.name,
        (await loaded.getAndUpdate({ id, pinned: true }))[0].author?.$.name,
        (await loaded.getOrUpsert({ id, title: 'a' }))[0].author?.$.name,
        (await loaded.load('author.notes').get(id)).author?.$.notes.$.length,
      ]
      t.strictSame(names, ['Ada', 'Ada', 'Ada', 'Ada', 'Ada', 2])
      const author = await new Repository(Author, em).getOne({ name: 'Bob' })
      em.clear()
      const [made] = await loaded.getOrUpsert({ id: id + 100, title: 'new', author: author.id })
      t.equal(made.author?.$.name, 'Bob', 'also one that was made')
    }),
  )

  t.test('deleteWhere deletes what satisfies all conditions', async t => {
    const cases: [string, Parameters<Repository<Note>['deleteWhere']>][] = [
      ['acde', [search('title', 'b')]],
      ['acde', [search('title', 'B', { ignoreCase: true })]],
      ['bde', [filterGroup('or', [search('title', 'a'), comparison('title', 'startsWith', 'c')])]],
      ['cde', [search('author.name', 'Ad')]],
      [
        'bcde',
        [search('author.name', 'ad', { ignoreCase: true }), search('title', 'A', { ignoreCase: true })],
      ],
      ['cde', [exists('tags', search('name', 'or'))]],
      ['ab', [notExists('tags')]],
      ['ade', [{ pinned: true }]],
      ['acde', [{ pinned: true }, exists('author', comparison('name', 'eq', 'Ada'))]],
      ['abcde', [comparison('title', 'in', [])]],
      ['acde', [{ author: { name: 'Ada' } }, search('title', 'b')]],
      ['acde', [{ $not: { author: { name: 'Bob' } } }, search('title', 'b')]],
      ['acde', [{ $and: [{ $not: { author: { name: 'Bob' } } }] }, search('title', 'b')]],
    ]
    for (const [left, conditions] of cases) {
      await filled(async em => {
        const deleted = await notes(em).deleteWhere(...conditions)
        t.equal(titles(await notes(em).list(orderBy('title'))), left, JSON.stringify(conditions))
        t.equal(deleted, 5 - left.length)
      })
    }
  })

  t.test('a bulk delete gives its table an alias when its conditions reach over a relation', async t => {
    const meta = em().getMetadata().get(Note) as never
    for (const one of [
      { author: { name: 'Ada' } },
      { $not: { author: { name: 'Ada' } } },
      { $or: [{ title: 'a' }, { $and: [{ author: { name: 'Ada' } }] }] },
      comparison('author.name', 'eq', 'Ada'),
      exists('tags'),
    ]) {
      t.equal(qualifies(meta, [{ title: 'a' }, one]), true, JSON.stringify(one))
    }
    for (const one of [{}, { title: 'a' }, { $not: { title: 'a' } }, { author: 1 }, search('title', 'a')]) {
      t.equal(qualifies(meta, [one]), false, JSON.stringify(one))
    }
  })

  t.test('deleteWhere without a condition is refused before any SQL', async t => {
    const on = em()
    const nothings: unknown[][] = [
      [],
      [{}],
      [{ id: undefined }],
      [{ $and: [] }],
      [{ $or: [{}] }],
      [{ $or: [{ id: 1 }, { title: undefined }] }],
      [{ $and: [{}, { author: {} }] }],
      [filterGroup('and', [])],
      [beforeAfter('title', {}), { id: {} }],
      [limitOffset(1), orderBy('id')],
    ]
    for (const conditions of nothings) {
      const call = () =>
        (notes(on).deleteWhere as (...given: unknown[]) => Promise<number>).call(notes(on), ...conditions)
      t.strictSame(
        await sqlOf(() => t.rejects(call(), { code: 'SQLA_ERR_INVALID_FILTER', statusCode: 400 })),
        [],
        JSON.stringify(conditions),
      )
    }
  })
})
