import t, { type Test } from 'tap'
import { type FlagStore, MemoryFlagStorage } from '../../plugins/flags/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { tablesOn } from './tables.ts'
import { type Site, siteWith, stored } from './web-ui-site.ts'

// The pages that tell of the past, and two editors, on memory and on every database.

const NAME = 'a/b <i>"&'
const QUERY = `name=${encodeURIComponent(NAME)}`
const DAY = 86_400

/** What a page says of each change: its heading, its author, and what is in its table. */
function entriesOf(text: string): { heading: string; author: string; cells: string[]; hasButton: boolean }[] {
  return [...text.matchAll(/<li class="entry".*?<\/li>/gs)].map(([item]) => ({
    heading: /<h2>(.*?)(?: <span.*)?<\/h2>/.exec(item)?.[1] ?? '',
    author: /<bdi>(.*?)<\/bdi>/.exec(item)?.[1] ?? '',
    cells: [...item.matchAll(/<(?:th scope="row"|td)>(.*?)<\//g)].map(([, cell = '']) => cell),
    hasButton: item.includes('/rollback"'),
  }))
}

const ENTITIES: Record<string, string> = {
  '&lt;': '<',
  '&gt;': '>',
  '&quot;': '"',
  '&#39;': "'",
  '&amp;': '&',
}

/** The flags of a list. */
function namesOn(text: string): string[] {
  return [...text.matchAll(/<li class="card flag" data-key="([^"]+)"/g)].map(([, name = '']) =>
    name.replace(/&[^;]+;/g, entity => ENTITIES[entity] ?? entity),
  )
}

/** @param make stores of the same flags: one for the pages, one for another process */
function contract(t: Test, make: (t: Test) => Promise<[FlagStore, FlagStore]>): void {
  const siteOn = async (t: Test, options: Parameters<typeof siteWith>[1] = {}): Promise<Site> => {
    const [storage] = await make(t)
    return siteWith(t, { ...options, storage })
  }
  const versionOf = async (site: Site) => String((await stored(site, NAME))?.version)

  t.test('who has done what, and when; the newest first, and the difference', async t => {
    let author: string | undefined = 'Ann <b>'
    const site = await siteOn(t, { author: () => author })
    const act = async (action: string, fields = {}) =>
      t.equal(
        (await site.post(`/${action}`, { name: NAME, version: await versionOf(site), ...fields })).status,
        303,
        action,
      )
    await act('new', { enabled: 'on', percentage: '20', shareKey: 'id', hash: 'salted' })
    author = undefined
    await act('edit', { percentage: '50', shareKey: 'id', hash: 'salted', owner: 'Team & co' })
    author = 'Bob'
    await act('delete')
    await act('restore')
    await act('enable')
    await act('disable')
    const { status, text } = await site.get(`/history?${QUERY}`)
    t.equal(status, 200)
    const [disabled, enabled, restored, deleted, edited, created, ...rest] = entriesOf(text)
    t.same(rest, [])
    t.match(disabled, { heading: 'Changed', author: 'Bob', cells: ['Switched on', 'yes', 'no'] })
    t.equal(disabled?.hasButton, false, 'the current version is nothing to go back to')
    t.match(enabled, { cells: ['Switched on', 'no', 'yes'], hasButton: true })
    t.match(restored, { heading: 'Restored', cells: [], hasButton: true })
    t.match(deleted, { heading: 'Deleted', author: 'Bob', cells: [], hasButton: false })
    t.match(edited, {
      author: 'somebody',
      cells: ['Switched on', 'yes', 'no', 'Owner', '–', 'Team &amp; co', 'Percentage', '20', '50'],
    })
    t.match(created, {
      heading: 'Created',
      author: 'Ann &lt;b&gt;',
      cells: ['Switched on', 'no', 'yes', 'Percentage: entry', '–', 'id', 'Percentage', '–', '20'],
    })
    const { updated_at: at = 0 } = (await stored(site, NAME)) ?? {}
    t.match(text, `<time datetime="${new Date(at * 1000).toISOString()}">`)
    const page = await site.get(`/edit?${QUERY}`)
    t.match(page.text, `href="/admin/flags/history?${QUERY}"`, 'the page of the flag has a link to it')
  })

  t.test('a flag is made what it was, also one that is deleted, but no more when it is gone', async t => {
    const site = await siteOn(t, { author: () => 'Ann' })
    const { version: first } = await site.storage.upsert({ name: NAME, owner: 'first', enabled: true })
    await site.storage.upsert({ name: NAME, owner: 'second', enabled: false, segments: ['s'] })
    const roll = async (target: number, version: string) =>
      site.post('/rollback', { name: NAME, version, target: String(target) })
    const { status, location } = await roll(first, await versionOf(site))
    t.equal(status, 303)
    t.equal(location, `/admin/flags/history?${QUERY}&done=rolledback`)
    t.match((await site.get(location.slice('/admin/flags'.length))).text, 'Rolled back.')
    t.match(await stored(site, NAME), { owner: 'first', enabled: true, segments: null })
    t.match((await site.storage.history?.(NAME))?.[0], { action: 'changed', author: 'Ann' })

    await site.storage.delete(NAME)
    const page = await site.get(`/edit?${QUERY}`)
    t.match(page.text, `href="/admin/flags/history?${QUERY}"`, 'the page of a deleted flag has a link, too')
    t.equal((await roll(first, await versionOf(site))).status, 303)
    t.match(await stored(site, NAME), { owner: 'first', deleted: false })

    t.equal((await roll(99, await versionOf(site))).status, 404, 'no such version')
    t.equal((await roll(first, 'x')).status, 403)
    t.equal((await site.post('/rollback', { name: NAME, version: '1' })).status, 403, 'no target')

    const version = await versionOf(site)
    await site.post('/purge', { name: NAME, version })
    const { text } = await site.get(`/history?${QUERY}`)
    const [purged, ...older] = entriesOf(text)
    t.match(purged, { heading: 'Deleted for ever', author: 'Ann', cells: [] })
    t.equal(older.length, 5)
    t.notOk(text.includes('/rollback"'), 'there is nothing to roll back')
    t.equal((await roll(first, version)).status, 404)
    await site.storage.upsert({ name: NAME })
    const [again] = entriesOf((await site.get(`/history?${QUERY}`)).text)
    t.match(again, { heading: 'Created', cells: [] }, 'a new flag of the name is not compared with the old')
  })

  t.test('another process was quicker: nothing is rolled back, saved or switched', async t => {
    const [storage, other] = await make(t)
    const site = await siteWith(t, { storage })
    const { version: first } = await storage.upsert({ name: NAME, owner: 'first' })
    const { version } = await storage.upsert({ name: NAME, owner: 'second' })
    await other.upsert({ name: NAME, owner: 'theirs' }, { author: '<Bob>' })
    const fields = { name: NAME, version: String(version) }
    const rolled = await site.post('/rollback', { ...fields, target: String(first) })
    t.equal(rolled.status, 409)
    t.match(rolled.text, 'Not rolled back: somebody else has changed this flag')
    t.equal(entriesOf(rolled.text)[0]?.author, '&lt;Bob&gt;', 'it shows what they have done')
    t.equal(entriesOf(rolled.text)[1]?.hasButton, true, 'and offers it once more')
    const saved = await site.post('/edit', { ...fields, owner: 'mine', hash: 'salted' })
    t.equal(saved.status, 409)
    t.match(saved.text, '<td>mine</td><td>theirs</td>')
    for (const action of ['enable', 'disable', 'delete', 'purge']) {
      t.equal((await site.post(`/${action}`, fields)).status, 409, action)
    }
    t.match(await stored(site, NAME), { owner: 'theirs', enabled: false, deleted: false })
    const rows = await site.post('/edit', { ...fields, owner: 'mine', _more: '5' })
    t.match(rows.text, /role="status">Somebody has changed this flag/, 'who asks for more rows is told, too')
    await other.purge(NAME)
    for (const action of ['enable', 'delete', 'purge', 'edit']) {
      t.equal((await site.post(`/${action}`, fields)).status, 404, `${action} of a flag that is gone`)
    }
    t.equal((await site.post('/rollback', { ...fields, target: String(first) })).status, 404)
  })

  t.test('what cannot be a name is a flag that does not exist', async t => {
    const site = await siteOn(t)
    for (const path of ['/edit', '/purge', '/history']) {
      for (const query of ['', '?name=', '?name=%00', '?name=a&name=b', '?name=none']) {
        t.equal((await site.get(path + query)).status, 404, path + query)
      }
    }
    for (const action of ['edit', 'enable', 'restore', 'delete', 'purge', 'rollback']) {
      const fields = { name: 'a\0', version: '1', target: '1' }
      t.equal((await site.post(`/${action}`, fields)).status, 404, action)
    }
  })

  t.test('a long history has pages, and no difference is lost between two of them', async t => {
    const site = await siteOn(t)
    for (let number = 1; number <= 53; number++) {
      await site.storage.upsert({ name: NAME, owner: `owner ${number}` })
    }
    const seen: string[][] = []
    let path: string | undefined = `/history?${QUERY}`
    for (let pages = 0; path !== undefined && pages < 5; pages++) {
      const { text } = await site.get(path)
      seen.push(...entriesOf(text).map(({ cells }) => cells))
      const [, older] = /href="\/admin\/flags(\/history[^"]*before=\d+)">Older/.exec(text) ?? []
      path = older?.replaceAll('&amp;', '&')
      t.equal(text.includes('>Newest</a>'), pages > 0)
    }
    t.same(seen[50], ['Owner', 'owner 2', 'owner 3'], 'the first of the second page')
    t.same(
      seen.map(([, before, after]) => [before, after]),
      Array.from({ length: 53 }, (_, index) => [
        index === 52 ? '–' : `owner ${52 - index}`,
        `owner ${53 - index}`,
      ]),
    )
    const nothing = await site.get(`/history?${QUERY}&before=1`)
    t.match(nothing.text, 'There is nothing older')
    t.equal(entriesOf((await site.get(`/history?${QUERY}&before=x`)).text).length, 50, 'nonsense is none')
  })

  t.test('which flags nobody has asked for, and since when that is written down', async t => {
    const [storage] = await make(t)
    const site = await siteWith(t, { storage })
    const page = async (query = '') => (await site.get(`/?view=unused${query}`)).text
    const real = Date.now
    const daysAgo = async (days: number, work: () => Promise<unknown>): Promise<void> => {
      Date.now = () => real() - days * DAY * 1000
      await work().finally(() => {
        Date.now = real
      })
    }
    await daysAgo(90, async () => {
      for (const name of ['never', 'long', 'lately', 'changed', 'gone', NAME]) {
        await storage.upsert({ name, description: 'one of them' })
      }
      await storage.delete('gone')
    })
    t.match(await page(), 'Nothing is recorded yet')
    t.same(namesOn(await page()), [])
    await daysAgo(80, async () => storage.noteAsked?.(['long', 'changed']))
    await daysAgo(40, async () => storage.noteAsked?.(['long']))
    await storage.noteAsked?.(['lately'])
    await storage.upsert({ name: 'changed', description: 'since' })
    const text = await page()
    t.same(namesOn(text), [NAME, 'long', 'never'])
    const date = (days: number) => new Date(real() - days * DAY * 1000).toISOString().slice(0, 10)
    t.match(text, new RegExp(`Recorded since <time[^>]*>${date(80)}`))
    t.match(text, new RegExp(`Last asked for <time[^>]*>${date(40)}`))
    t.match(text, 'Nobody has ever asked for it')
    t.match(text, /<a href="\/admin\/flags\/\?view=unused" aria-current="page">Unused<\/a>/)
    t.same(namesOn(await page('&q=LON')), ['long'])
  })

  t.test('what is recorded for a few days only says nothing yet', async t => {
    const site = await siteOn(t)
    await site.storage.noteAsked?.([])
    await site.storage.upsert({ name: 'x' })
    const { text } = await site.get('/?view=unused')
    t.match(text, /Recorded since <time[^>]*>.*too short to tell/)
    t.same(namesOn(text), [])
  })
}

t.test('memory', async t => {
  contract(t, async () => {
    const storage = new MemoryFlagStorage()
    return [storage, storage]
  })

  t.test('many flags have pages, which keep what was searched, and buttons lead back there', async t => {
    const site = await siteWith(t)
    const names = Array.from({ length: 120 }, (_, index) => `flag-${String(index).padStart(3, '0')}`)
    for (const name of names) await site.storage.upsert({ name, owner: 'Ann & co' })
    await site.storage.upsert({ name: 'other' })
    const search = 'q=ANN+%26'
    const one = (await site.get(`/?${search}`)).text
    t.match(one, '1–100 of 120 flags')
    t.same(namesOn(one), names.slice(0, 100))
    t.match(one, /<nav class="pages" aria-label="Pages"[^>]*>/)
    t.match(one, `href="/admin/flags/?q=ANN+%26&amp;page=2" aria-label="Next page"`)
    const two = (await site.get(`/?${search}&page=2`)).text
    t.match(two, '101–120 of 120 flags')
    t.match(two, /aria-label="Page 2" aria-current="page"/)
    t.same(namesOn(two), names.slice(100))
    t.equal(two.includes('Next page'), false)
    t.same(namesOn((await site.get(`/?${search}&page=999999999`)).text), names.slice(100), 'the last one')
    for (const page of ['0', '-1', 'x', '1.5', '1e9', '9'.repeat(30)]) {
      t.same(namesOn((await site.get(`/?${search}&page=${page}`)).text), names.slice(0, 100), page)
    }
    const list = /name="list" value="([^"]+)"/.exec(two)?.[1]?.replaceAll('&amp;', '&') ?? ''
    const { version } = (await stored(site, 'flag-110')) ?? {}
    const fields = { name: 'flag-110', version: String(version) }
    const enabled = await site.post('/enable', { ...fields, list })
    t.equal(enabled.location, `/admin/flags/?q=ANN+%26&page=2&name=flag-110&done=enabled`)
    const again = String((await stored(site, 'flag-110'))?.version)
    const evil = await site.post('/disable', {
      ...fields,
      version: again,
      list: '//evil.example/?x=1\r\ny: z',
    })
    t.equal(evil.location, '/admin/flags/?name=flag-110&done=disabled', 'a form says nothing but which list')
  })

  t.test('a page that cannot say who it is changes nothing, and the application answers', async t => {
    let isBroken = false
    const site = await siteWith(t, {
      author: () => {
        if (isBroken) throw Object.assign(new TypeError('no session'), { statusCode: 418 })
        return undefined
      },
    })
    const { version: first } = await site.storage.upsert({ name: 'x' })
    await site.storage.upsert({ name: 'x', owner: 'ann' })
    const gone = await site.storage.upsert({ name: 'gone' })
    await site.storage.delete('gone')
    const before = await site.storage.list()
    isBroken = true
    const { version } = (await stored(site, 'x')) ?? {}
    const fields = { name: 'x', version: String(version), target: String(first) }
    for (const action of ['edit', 'enable', 'disable', 'delete', 'purge', 'rollback']) {
      t.equal((await site.post(`/${action}`, fields)).status, 418, action)
    }
    t.equal((await site.post('/new', { name: 'new' })).status, 418)
    t.equal((await site.post('/restore', { name: 'gone', version: String(gone.version + 1) })).status, 418)
    t.same(await site.storage.list(), before)
    t.equal((await site.get('/')).status, 200, 'who only looks is not asked')
  })

  t.test('every edit is written down with the one who has made it', async t => {
    const site = await siteWith(t, { author: request => String(request.headers['x-user']) })
    const act = async (action: string, user: string, fields = {}) => {
      const version = String((await stored(site, 'x'))?.version)
      const headers = { 'x-user': user }
      t.equal((await site.post(`/${action}`, { name: 'x', version, ...fields }, headers)).status, 303, action)
    }
    const actions = ['new', 'edit', 'enable', 'disable', 'delete', 'restore', 'rollback', 'purge']
    for (const action of actions) await act(action, `${action}er`, { owner: action, target: '1' })
    const entries = (await site.storage.history?.('x')) ?? []
    t.same(
      entries.map(({ author }) => author),
      actions.map(action => `${action}er`).reverse(),
    )
  })

  t.test('a storage without a history says so, and one without times of questions, too', async t => {
    const storage: FlagStore = new MemoryFlagStorage()
    storage.history = undefined as never
    storage.usage = undefined as never
    const site = await siteWith(t, { storage })
    await storage.upsert({ name: 'x' })
    t.match((await site.get('/history?name=x')).text, 'Nothing has been written down')
    t.match((await site.get('/?view=unused')).text, 'Nothing is recorded yet')
  })

  t.test('what history begins with is not compared with nothing', async t => {
    const storage = new MemoryFlagStorage()
    const site = await siteWith(t, { storage })
    for (const owner of ['a', 'b']) await storage.upsert({ name: 'x', owner })
    const history = storage.history.bind(storage)
    storage.history = async (name, options) => (await history(name, options)).slice(0, 1)
    t.match((await site.get('/history?name=x')).text, 'What it was before is not written down')
  })
})

await onEveryBackend(t, async (t, backend) => {
  const [one, two] = [await tablesOn(t, backend), await tablesOn(t, backend)]
  // The names of tables are counted, so the same call of both has the same tables.
  contract(t, async () => [await one.make(), await two.make()])
})
