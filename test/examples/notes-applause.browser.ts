import { once } from 'node:events'
import axe, { type AxeResults } from 'axe-core'
import type { FastifyInstance } from 'fastify'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { buildApp } from '../../examples/notes/app.ts'
import { DESKTOP, launchBrowser, PHONE, screenshot, skip } from '../support/browser.ts'
import { pageWidth } from './in-page.ts'
import { leavePage } from './leave-page.ts'
import { testDatabase, urlsOf } from './support.ts'

/** Opens a page of a new visitor, which fails the test when the browser has something to complain about. */
async function open(t: Test, browser: Browser, options: BrowserContextOptions): Promise<Page> {
  const context = await browser.newContext(options)
  t.teardown(() => context.close())
  const page = await context.newPage()
  page.on('console', message => {
    // An answer of 409 is one of the things that are shown.
    if (!/status of 409/.test(message.text())) t.fail(`console: ${message.text()}`)
  })
  page.on('pageerror', error => t.fail(`error in the page: ${error.message}`))
  page.on('requestfailed', request => {
    // Whoever leaves the page leaves the stream.
    if (request.resourceType() !== 'eventsource') t.fail(`could not load ${request.url()}`)
  })
  return page
}

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

async function serve(t: Test): Promise<{ app: FastifyInstance; url: string }> {
  const app = await buildApp(urlsOf(await testDatabase(t)))
  t.teardown(() => app.close())
  return { app, url: `${await app.listen({ port: 0, host: '127.0.0.1' })}/applause` }
}

async function addNotes(app: FastifyInstance, ...titles: string[]): Promise<void> {
  const payload = { name: 'Ada Lovelace' }
  const author = (await app.inject({ method: 'POST', url: '/authors', payload })).json().id
  for (const title of titles) {
    await app.inject({ method: 'POST', url: '/notes', payload: { author, title } })
  }
}

/** Somebody else claps. */
const clap = (app: FastifyInstance, note: number) =>
  app.inject({
    method: 'POST',
    url: `/applause/${note}/clap`,
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
  })

const button = (page: Page, title: string) => page.getByRole('button', { name: `Clap for ${title}` })
const showsClaps = (page: Page, note: number, claps: number) =>
  page.locator(`#note-${note}[data-claps="${claps}"]`).waitFor()

/** What axe has to complain about: https://dequeuniversity.com/rules/axe/ */
async function violations(page: Page): Promise<string[]> {
  const results: AxeResults = await page.evaluate(
    `axe.run(document, { runOnly: ${JSON.stringify(RULES)}, resultTypes: ['violations'] })`,
  )
  return results.violations.flatMap(({ id, nodes }) => nodes.map(node => `${id}: ${node.failureSummary}`))
}

t.test('the page of the applause in a browser', { skip }, async t => {
  const browser = await launchBrowser(t)
  const { app, url } = await serve(t)
  await addNotes(app, 'First', 'Second')

  await t.test('shows at once what happens in another tab', async t => {
    const [page, other] = [
      await open(t, browser, { viewport: DESKTOP }),
      await open(t, browser, { viewport: DESKTOP }),
    ]
    await page.goto(new URL('/', url).href)
    await page.getByRole('navigation', { name: 'Service' }).getByRole('link', { name: 'Applause' }).click()
    await other.goto(url)
    await button(other, 'Second').focus()

    await button(page, 'First').click()
    t.match(await page.getByRole('status').first().textContent(), /Saved as event 2/)
    await showsClaps(other, 1, 1)
    t.match(await other.locator('#news').textContent(), /The list has changed/)
    t.match(await other.locator('.log li').first().textContent(), /Applause\.Clapped.*First/s)
    const focused = await other.evaluate('document.activeElement.id')
    t.equal(focused, 'clap-2', 'the focus stays where it was')
    await leavePage(other, () => other.keyboard.press('Enter'), /\?event=/)
    await showsClaps(page, 2, 1)
    await screenshot(page, 'applause-live')
  })

  await t.test('does not take a button away that is pressed', async t => {
    const page = await open(t, browser, { viewport: DESKTOP })
    const cdp = await page.context().newCDPSession(page)
    await cdp.send('Network.enable')
    const news = () => once(cdp as never, 'Network.eventSourceMessageReceived')
    const ready = news()
    await page.goto(url)
    await ready
    await button(page, 'Second').hover()
    await page.mouse.down()
    const told = news()
    await clap(app, 1)
    await told
    t.equal(await page.locator('#note-1').getAttribute('data-claps'), '1', 'it is not shown yet')
    await leavePage(page, () => page.mouse.up(), /\?event=/)
    await showsClaps(page, 2, 2)
    await showsClaps(page, 1, 2)
  })

  await t.test('works without JavaScript', async t => {
    const page = await open(t, browser, { viewport: DESKTOP, javaScriptEnabled: false })
    await page.goto(url)
    await button(page, 'First').click()
    t.equal(await page.locator('#note-1').getAttribute('data-claps'), '3')
    await button(page, 'First').click()
    t.match(await page.getByRole('alert').textContent(), /You have applauded “First” already/)
    await screenshot(page, 'applause-twice')
    await page.getByRole('button', { name: 'Take it back' }).click()
    t.equal(await page.locator('#note-1').getAttribute('data-claps'), '2')
    await clap(app, 1)
    await page.reload()
    t.equal(await page.locator('#note-1').getAttribute('data-claps'), '3')
  })

  await t.test('fits a phone', async t => {
    const page = await open(t, browser, { viewport: PHONE, isMobile: true, deviceScaleFactor: 2 })
    await page.goto(url)
    t.ok((await page.evaluate(pageWidth)) <= PHONE.width, 'no sideways scroll')
    const heights = await page
      .getByRole('button')
      .evaluateAll(buttons => buttons.map(button => button.getBoundingClientRect().height))
    t.ok(Math.min(...heights) >= 44, 'buttons are large enough for a finger')
    await screenshot(page, 'applause-phone')
  })

  await t.test('has nothing that axe complains about', async t => {
    const page = await open(t, browser, { viewport: DESKTOP })
    await page.context().addInitScript({ content: axe.source })
    const pages: Record<string, () => Promise<unknown>> = {
      list: () => page.goto(url),
      clapped: () => button(page, 'First').click(),
      twice: () => button(page, 'First').click(),
      empty: async () => page.goto((await serve(t)).url),
    }
    for (const [name, show] of Object.entries(pages)) {
      await show()
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme })
        t.same(await violations(page), [], `${name}, ${colorScheme}`)
        await screenshot(page, `applause-${name}-${colorScheme}`)
      }
    }
  })
})
