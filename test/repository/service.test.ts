import { defineEntity, p } from '@mikro-orm/sql'
import t from 'tap'
import { limitOffset, orderBy, Repository, Service, search } from '../../plugins/repository/index.ts'
import type { SqlEm } from '../../src/index.ts'
import { onEveryBackend } from '../support/backends.ts'

const AuthorSchema = defineEntity({
  name: 'Author',
  tableName: 'service_author',
  properties: {
    id: p.integer().primary(),
    name: p.string().unique(),
    slug: p.string().nullable(),
    secret: p.string().hidden().nullable(),
    books: () => p.oneToMany(Book).mappedBy('author'),
  },
})
class Author extends AuthorSchema.class {}
AuthorSchema.setClass(Author)

const BookSchema = defineEntity({
  name: 'Book',
  tableName: 'service_book',
  properties: { id: p.integer().primary(), title: p.string(), author: () => p.manyToOne(Author) },
})
class Book extends BookSchema.class {}
BookSchema.setClass(Book)

const slugOf = (name: string) => name.toLowerCase().replaceAll(' ', '-')

/** Derives a field in each of the three hooks, each in its own way. */
class AuthorService extends Service<Author> {
  override toModelOnCreate(data: { name: string }) {
    return { ...data, slug: `created-${slugOf(data.name)}` }
  }

  // A hook may wait for something.
  override async toModelOnUpdate(data: { name?: string }) {
    return data.name === undefined ? data : { ...data, slug: `updated-${slugOf(data.name)}` }
  }

  override toModelOnUpsert(data: { name: string }) {
    return { ...data, slug: `upserted-${slugOf(data.name)}` }
  }
}

await onEveryBackend(t, async (t, backend) => {
  const orm = await backend.orm(t, { entities: [Author, Book] })
  await orm.schema.create()
  const fork = () => orm.em.fork() as SqlEm
  const service = (em = fork()) => new AuthorService(Author, em)
  t.beforeEach(async () => {
    await fork().nativeDelete(Book, {})
    await fork().nativeDelete(Author, {})
  })
  const slugs = async () =>
    (await fork().findAll(Author, { orderBy: { name: 'asc' } })).map(author => author.slug)

  t.test('every way to save goes through its hook', async t => {
    await service().create({ name: 'A A' })
    await service().createMany([{ name: 'B' }, { name: 'C' }])
    t.same(await slugs(), ['created-a-a', 'created-b', 'created-c'])

    const [{ id } = { id: 0 }] = await service().list({ name: 'A A' })
    await service().update(id, { name: 'A' })
    const [b, c] = await service().list({ name: ['B', 'C'] }, orderBy('name'))
    await service().updateMany([{ id: c?.id as number, name: 'CC' }])
    const [, changed] = await service().getAndUpdate({ id: b?.id as number, name: 'BB' })
    t.equal(changed, true)
    t.same(await slugs(), ['updated-a', 'updated-bb', 'updated-cc'])

    await service().upsert({ name: 'A' }, { matchFields: ['name'] })
    await service().upsertMany([{ name: 'BB' }, { name: 'D' }], { matchFields: ['name'] })
    const [, created] = await service().getOrUpsert({ name: 'E' }, { matchFields: ['name'] })
    t.equal(created, true)
    t.same(await slugs(), ['upserted-a', 'upserted-bb', 'updated-cc', 'upserted-d', 'upserted-e'])
  })

  t.test('it finds, counts and deletes as its repository does', async t => {
    const [a, b] = await service().createMany([{ name: 'A' }, { name: 'B' }, { name: 'C' }, { name: 'D' }])
    t.equal((await service().get(a?.id as number)).name, 'A')
    t.equal((await service().getOne({ name: 'B' })).name, 'B')
    t.equal(await service().getOneOrNull({ name: 'Z' }), null)
    t.equal(await service().count(search('name', 'A')), 1)
    t.equal(await service().exists(search('name', 'Z')), false)
    t.equal((await service().delete(a?.id as number)).name, 'A')
    t.equal(await service().deleteMany([b?.id as number]), 1)
    t.equal(await service().deleteWhere({ name: 'C' }), 1)
    t.same(
      (await service().list()).map(author => author.name),
      ['D'],
    )
    await t.rejects(async () => service().get(a?.id as number), {
      code: 'SQLA_ERR_NOT_FOUND',
      statusCode: 404,
    })
  })

  t.test('toSchema makes an item of an entity and a page of a list, without what is hidden', async t => {
    const one = await service().create({ name: 'A' })
    one.secret = 'hash'
    t.strictSame(service().toSchema(one), { id: one.id, name: 'A', slug: 'created-a', books: [] })

    await service().createMany([{ name: 'B' }, { name: 'C' }])
    const filters = [orderBy('name'), limitOffset(2, 1)]
    const shown = service()
    const [found, total] = await shown.listAndCount(...filters)
    const page = shown.toSchema(found, total, filters)
    t.same(
      { ...page, items: page.items.map(item => item.name) },
      { items: ['B', 'C'], total: 3, limit: 2, offset: 1 },
    )
    const whole = await shown.list()
    t.match(
      shown.toSchema(whole),
      { total: 3, limit: 3, offset: 0 },
      'without filters a page is all there is',
    )
    t.match(shown.toSchema([]), { items: [], total: 0, limit: 0, offset: 0 })
  })

  t.test('toItem says what an item is, on every page', async t => {
    class Named extends Service<Author, string> {
      override toItem(author: Author) {
        return author.name
      }
    }
    await service().createMany([{ name: 'A' }, { name: 'B' }, { name: 'C' }])
    const named = new Named(Author, fork())
    t.same((await named.toSchema(await named.list(orderBy('name')))).items, ['A', 'B', 'C'])
    const page = await named.cursorPage({ limit: 2, orderBy: [orderBy('name', 'desc')] })
    t.same(page.items, ['C', 'B'])
    t.type(page.next, 'string')
  })

  t.test('a service on a repository brings its relations along', async t => {
    const em = fork()
    const author = await service(em).create({ name: 'A' })
    await new Repository(Book, em).add({ title: 'one', author })
    const loading = new Service(new Repository(Author, fork()).load('books'))
    const found = await loading.get(author.id)
    t.match(loading.toSchema(found), { name: 'A', books: [{ title: 'one' }] })
  })
})
