import axe, { type AxeResults } from 'axe-core'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { buildApp } from '../../examples/notes/app.ts'
import { DESKTOP, launchBrowser, PHONE, screenshot, skip } from '../support/browser.ts'
import { pageWidth, textsBelow } from './in-page.ts'
import { testCluster } from './support.ts'

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }

/** Opens a page of a new visitor, which fails the test when the browser has something to complain about. */
async function open(t: Test, browser: Browser, options: BrowserContextOptions): Promise<Page> {
  const context = await browser.newContext(options)
  t.teardown(() => context.close())
  const page = await context.newPage()
  page.on('console', message => t.fail(`console: ${message.text()}`))
  page.on('pageerror', error => t.fail(`error in the page: ${error.message}`))
  page.on('requestfailed', request => {
    // Whoever leaves the page leaves the stream.
    if (request.resourceType() !== 'eventsource') t.fail(`could not load ${request.url()}`)
  })
  return page
}

const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true })
const card = (page: Page, server: string, state: string) =>
  page.locator(`.server[data-server="${server}"][data-state="${state}"]`)
const request = (page: Page, label: string) => page.locator('.request', { hasText: label }).first()

t.test('the start page in a browser', { skip }, async t => {
  const cluster = await testCluster(t, { replicas: 2 })
  const urls = {
    writer: cluster.url('writer'),
    reader: cluster.replicas.map(standby => cluster.url('reader', standby)),
    logger: cluster.url('logger'),
  }
  const app = await buildApp(urls, { cluster })
  t.teardown(() => app.close())
  const url = `${await app.listen({ port: 0, host: '127.0.0.1' })}/`
  const browser = await launchBrowser(t)

  await t.test('shows live where statements go, without leaving the page', async t => {
    const [page, other] = [
      await open(t, browser, { viewport: DESKTOP }),
      await open(t, browser, { viewport: DESKTOP, reducedMotion: 'reduce' }),
    ]
    await page.goto(url)
    await other.goto(url)
    await page.evaluate('document.body.dataset.isTheSame = "yes"')
    // Dots are there for a moment only.
    await page.evaluate(`globalThis.flown = []
      new MutationObserver(changes => {
        for (const { addedNodes } of changes) for (const node of addedNodes) {
          if (node.classList?.contains('statement')) flown.push(node.dataset.server)
        }
      }).observe(document.querySelector('.wires.wide-only'), { childList: true })`)
    await button(page, 'Write it').click()
    await page.getByText('Saved. The writer had committed').first().waitFor()
    for (const each of [page, other]) {
      await request(each, 'POST /write').locator('.chip[data-server="primary"]').first().waitFor()
    }
    await page.waitForFunction('flown.includes("primary")')
    t.equal(await other.locator('.statement').count(), 0, 'nothing moves for whoever wants it still')
    await screenshot(page, 'demo-written')

    await button(page, 'Read 20 times').click()
    await request(other, '/notes × 20').locator('.chip[data-server^="standby"]').first().waitFor()
    await screenshot(page, 'demo-read')

    await button(page, 'Pause replay of standby-1').click()
    await card(other, 'standby-1', 'paused').waitFor()
    await button(page, 'Write it').click()
    await button(page, 'Read 20 times').click()
    await request(page, '/notes × 20').getByText('standby-2').first().waitFor()
    await screenshot(page, 'demo-paused')
    await button(page, 'Resume replay of standby-1').click()
    await card(page, 'standby-1', 'online').waitFor()

    await button(page, 'Kill standby-2').focus()
    await page.keyboard.press('Enter')
    await card(other, 'standby-2', 'down').waitFor()
    await button(page, 'Start again standby-2').waitFor()
    t.equal(await page.evaluate('document.activeElement.textContent'), 'Start again', 'the focus is not lost')
    await screenshot(page, 'demo-killed')
    await button(page, 'Start again standby-2').click()
    await card(page, 'standby-2', 'online').waitFor()

    await page.getByRole('switch', { name: 'latest-notes' }).click()
    for (const each of [page, other]) await each.getByRole('heading', { name: 'Latest notes' }).waitFor()
    await button(page, 'Five visitors clap').click()
    for (const each of [page, other]) await each.getByText('the projection has counted up to 6').waitFor()
    t.match(await page.locator('.totals').textContent(), /0 server errors/)
    t.equal(await page.evaluate('document.body.dataset.isTheSame'), 'yes')
    t.equal(new URL(page.url()).search, '')
    await screenshot(page, 'demo')
  })

  await t.test('works without JavaScript', async t => {
    const page = await open(t, browser, { viewport: DESKTOP, javaScriptEnabled: false })
    await page.goto(url)
    await page.getByLabel('A note').fill('Without scripts')
    await button(page, 'Write it').click()
    t.match(await page.getByRole('status').first().textContent(), /Saved/)
    t.ok(await request(page, 'POST /write').isVisible())
    t.ok(await page.getByRole('heading', { name: 'Without scripts' }).isVisible(), 'the flag is on')
    await button(page, 'Pause replay of standby-1').click()
    t.ok(await card(page, 'standby-1', 'paused').isVisible())
    await button(page, 'Resume replay of standby-1').click()
    t.ok(await button(page, 'Pause replay of standby-1').isVisible())
    await page.getByRole('switch').click()
    t.equal(await page.getByRole('heading', { name: 'Latest notes' }).count(), 0)
  })

  for (const colorScheme of ['light', 'dark'] as const) {
    await t.test(`has nothing that axe complains about, and fits a phone, ${colorScheme}`, async t => {
      await app.inject({ method: 'POST', url: '/servers/standby-1/pause', headers: FORM })
      const page = await open(t, browser, { viewport: DESKTOP, colorScheme })
      await page.context().addInitScript({ content: axe.source })
      await page.goto(url)
      t.same(await page.evaluate(textsBelow, 4.5), [], 'every text has 4.5 : 1')
      for (const viewport of [DESKTOP, PHONE]) {
        await page.setViewportSize(viewport)
        t.same(await violations(page), [])
        t.ok((await page.evaluate(pageWidth)) <= viewport.width, 'no sideways scroll')
        await screenshot(page, `demo-${colorScheme}-${viewport.width}`)
      }
      const heights = await page
        .locator('main button, main input')
        .evaluateAll(controls => controls.map(control => control.getBoundingClientRect().height))
      t.ok(Math.min(...heights) >= 44, 'controls are large enough for a finger')
      await app.inject({ method: 'POST', url: '/servers/standby-1/resume', headers: FORM })
    })
  }
})

/** What axe has to complain about: https://dequeuniversity.com/rules/axe/ */
async function violations(page: Page): Promise<string[]> {
  const results: AxeResults = await page.evaluate(
    `axe.run(document, { runOnly: ${JSON.stringify(RULES)}, resultTypes: ['violations'] })`,
  )
  return results.violations.flatMap(({ id, nodes }) =>
    nodes.map(({ target }) => `${id}: ${target.join(' ')}`),
  )
}
