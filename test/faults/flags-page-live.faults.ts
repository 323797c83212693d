import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import type { Browser, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { type FlagStore, flags, flagsWebUi, MemoryFlagStorage } from '../../plugins/flags/index.ts'
import { tablesOn } from '../flags/tables.ts'
import { loaded, openTab, press, servePages } from '../flags/web-ui-tab.ts'
import { onEveryBackend } from '../support/backends.ts'
import { DESKTOP, launchBrowser, screenshot, skip } from '../support/browser.ts'

// An open page hears of what another process changes.

/** Opens a page and waits until it hears of changes. */
async function listen(page: Page, url: string): Promise<void> {
  const heard = page.waitForResponse(response => response.url().endsWith('/events'))
  await page.goto(url)
  await heard
}

const held = (page: Page) => page.locator(':focus')
const news = (page: Page) => page.getByText('The list has changed.')
const notice = (page: Page) => page.getByRole('status').getByText('Somebody has changed this flag.')

/** @param theirs what another process has of the same flags */
async function contract(t: Test, browser: Browser, ours: FlagStore, theirs: FlagStore): Promise<void> {
  // Where nothing notifies, the process that serves the pages asks that often.
  const url = `${await servePages(t, ours, 200)}/admin/flags`
  await theirs.upsert({ name: 'summer-sale', enabled: true })
  await theirs.upsert({ name: 'other' })

  await t.test('a list shows it, and keeps what is typed and what has the focus', async t => {
    const page = await openTab(t, browser)
    await listen(page, `${url}/?q=sale`)
    const search = page.getByRole('searchbox')
    await search.fill('half a wo')
    const begun = performance.now()
    await theirs.upsert({ name: 'winter <b>sale' }, { author: 'Bob' })
    const added = page.getByRole('listitem').filter({ hasText: 'winter <b>sale' })
    await added.waitFor()
    t.comment(`shown after ${Math.round(performance.now() - begun)} ms`)
    t.ok(await page.getByText('2 flags with “sale”').isVisible(), 'the search is kept')
    t.equal(await search.inputValue(), 'half a wo')
    t.equal(await held(page).getAttribute('id'), 'q')
    await news(page).waitFor()

    const button = page.getByRole('button', { name: 'Disable summer-sale' })
    await button.focus()
    await theirs.upsert({ name: 'summer-sale', description: 'Their words' })
    await page.getByText('Their words').waitFor()
    t.equal(await held(page).getAttribute('aria-label'), 'Disable summer-sale')
    await theirs.upsert({ name: 'summer-sale', enabled: false })
    await page.getByRole('button', { name: 'Enable summer-sale' }).waitFor()
    t.equal(await held(page).textContent(), 'summer-sale', 'not on a button that does the opposite now')
    await theirs.delete('summer-sale')
    await page.getByText('1 flag with “sale”').waitFor()
    t.equal(await held(page).getAttribute('id'), 'live', 'nor anywhere else on the page when it is gone')

    await press(page, 'Enable winter <b>sale')
    t.match(await theirs.get('winter <b>sale'), { enabled: true }, 'a button that came later works')
  })

  await t.test('a form says so, and is left as it is', async t => {
    await theirs.upsert({ name: 'form' })
    const page = await openTab(t, browser)
    await listen(page, `${url}/edit?name=form`)
    const owner = page.getByLabel('Owner')
    await owner.fill('half a na')
    await theirs.upsert({ name: 'other', owner: 'them' })
    await theirs.upsert({ name: 'form', owner: 'them' })
    await notice(page).waitFor()
    t.equal(await owner.inputValue(), 'half a na')
    t.equal(await held(page).getAttribute('id'), 'owner')
    await page.getByRole('button', { name: 'Delete' }).scrollIntoViewIfNeeded()
    const { y = -1 } = (await notice(page).boundingBox()) ?? {}
    t.ok(y >= 0 && y < DESKTOP.height, 'also to whoever is at the end of the form')
    await screenshot(page, 'notice')
    await loaded(page, () => page.getByRole('link', { name: 'Look at it again' }).click())
    t.equal(await owner.inputValue(), 'them')
    t.equal(await notice(page).count(), 0)
    await owner.fill('me')
    // The change is heard of long before the answer to it comes.
    const save = ours.upsert.bind(ours)
    t.intercept(ours, 'upsert', {
      value: async (...args: Parameters<FlagStore['upsert']>) => {
        const saved = await save(...args)
        await sleep(400)
        return saved
      },
    })
    await page.evaluate(`new MutationObserver(() => sessionStorage.setItem('told', 'yes'))
.observe(document.getElementById('live'), { childList: true })`)
    await press(page, 'Save changes')
    t.match(await theirs.get('form'), { owner: 'me' })
    t.equal(await page.evaluate("sessionStorage.getItem('told')"), null, 'what one does oneself is no news')
    await theirs.purge('form')
    await notice(page).waitFor()
  })
}

t.test('the pages of the flags, kept up to date', { skip }, async t => {
  const browser = await launchBrowser(t)

  // One that notifies, and one that is asked.
  await onEveryBackend(
    t,
    async (t, backend) => {
      const [one, two] = [await tablesOn(t, backend), await tablesOn(t, backend)]
      // The names of tables are counted, so the same call of both has the same tables.
      await contract(t, browser, await one.make(), await two.make())
    },
    ['PostgreSQL', 'SQLite'],
  )

  await t.test('memory', async t => {
    const storage = new MemoryFlagStorage()
    const url = `${await servePages(t, storage)}/other/place`

    await t.test('the history of a flag grows', async t => {
      const { version } = await storage.upsert({ name: 'grows', owner: 'first' })
      const page = await openTab(t, browser)
      await listen(page, `${url}/history?name=grows`)
      await storage.upsert({ name: 'grows', owner: 'second' }, { author: 'Bob' })
      const button = page.getByRole('button', { name: `Roll back to this version, ${version}` })
      await button.waitFor()
      t.ok(await page.getByText('Bob').isVisible())
      await loaded(page, () => button.click())
      t.match(await storage.get('grows'), { owner: 'first' })
      await listen(page, `${url}/history?name=grows`)
      await storage.upsert({ name: 'unrelated' })
      await storage.purge('grows')
      await page.getByRole('heading', { name: 'Deleted for ever' }).waitFor()
      t.equal(await page.getByRole('button').count(), 0, 'there is nothing to roll back any more')
    })

    await t.test('a tab that nobody looks at listens to nothing, and catches up', async t => {
      const page = await openTab(t, browser)
      const left = page.waitForEvent('requestfailed', request => request.url().endsWith('/events'))
      await listen(page, `${url}/`)
      const hide = (isHidden: boolean) =>
        page.evaluate(`Object.defineProperty(document, 'hidden', { value: ${isHidden}, configurable: true })
document.dispatchEvent(new Event('visibilitychange'))`)
      await hide(true)
      await left
      await storage.upsert({ name: 'meanwhile' })
      await sleep(300)
      t.equal(await page.getByText('meanwhile').count(), 0)
      await hide(false)
      await page.getByText('meanwhile').waitFor()
    })

    await t.test('many changes at once are asked for together', async t => {
      const page = await openTab(t, browser)
      await listen(page, `${url}/`)
      let asked = 0
      page.on('request', request => {
        if (request.resourceType() === 'fetch') asked++
      })
      for (let number = 0; number < 60; number++) {
        await storage.upsert({ name: 'busy', owner: `owner ${number}` })
        await sleep(5)
      }
      await page.getByText('owner 59').waitFor()
      t.ok(asked >= 1 && asked <= 6, `${asked} times`)
    })

    await t.test('a button that is held down stays until it is let go', async t => {
      await storage.upsert({ name: 'held' })
      const page = await openTab(t, browser)
      await listen(page, `${url}/?q=held`)
      await page.getByRole('button', { name: 'Enable held' }).hover()
      await page.mouse.down()
      await storage.upsert({ name: 'held-too' })
      await sleep(300)
      t.equal(await page.getByText('held-too').count(), 0)
      await loaded(page, () => page.mouse.up())
      t.match(await storage.get('held'), { enabled: true })
    })
  })

  await t.test('whoever may see nothing any more sees nothing new, and loses nothing', async t => {
    const app = Fastify()
    t.teardown(() => app.close())
    const storage = new MemoryFlagStorage()
    await storage.upsert({ name: 'known' })
    await app.register(flags, { storage })
    let isIn = true
    const isLetIn: unknown[] = []
    await app.register(flagsWebUi, {
      prefix: '/flags',
      authorize: (_request, reply) => {
        isLetIn.push(isIn)
        return isIn || reply.redirect('/login')
      },
    })
    app.get('/login', async (_request, reply) =>
      reply.type('text/html').send('<h1 id="live">Who are you?</h1>'),
    )
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const page = await openTab(t, browser)
    await listen(page, `${url}/flags/`)
    isIn = false
    await storage.upsert({ name: 'secret' })
    for (let tries = 0; tries < 200 && isLetIn.at(-1) === true; tries++) await sleep(10)
    t.equal(isLetIn.at(-1), false, 'it has asked')
    await sleep(200)
    t.ok(await page.getByText('known').isVisible())
    t.equal(await page.getByText('Who are you?').count(), 0)
  })
})
