import axe, { type AxeResults } from 'axe-core'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { buildApp } from '../../examples/notes/app.ts'
import { eventually } from '../embedded/helpers.ts'
import {
  DESKTOP,
  hurry,
  launchBrowser,
  listening,
  PHONE,
  putBehind,
  screenshot,
  settled,
  skip,
  watchStreams,
} from '../support/browser.ts'
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
    t.match(await page.locator('#news').textContent(), /^Saved/, 'screen readers are told')
    t.equal(await page.locator('[aria-busy]').count(), 0)
    for (const each of [page, other]) {
      await request(each, 'POST /write').locator('.chip[data-server="primary"]').first().waitFor()
    }
    t.ok(await eventually(() => page.evaluate<boolean>('flown.includes("primary")')))
    t.ok(await eventually(() => page.evaluate<boolean>('document.querySelector(".statement") === null')))
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

    await button(page, 'Kill standby-1').focus()
    await app.inject({ method: 'POST', url: '/servers/standby-1/pause', headers: FORM })
    await button(page, 'Resume replay of standby-1').waitFor()
    t.equal(await page.evaluate('document.activeElement.id'), 'kill-standby-1', 'and stays on its button')
    await button(page, 'Resume replay of standby-1').hover()
    await page.mouse.down()
    await app.inject({ method: 'POST', url: '/servers/standby-1/resume', headers: FORM })
    await card(page, 'standby-1', 'online').waitFor()
    await page.mouse.up()
    await page.getByText('standby-1 is in that state already').first().waitFor()
    await button(page, 'Pause replay of standby-1').waitFor()

    // It is pressed while what is around it is asked for, and let go when that has come.
    await page.getByRole('switch', { name: 'latest-notes' }).hover()
    await page.mouse.down()
    const latest = page.waitForResponse('**/latest')
    const payload = 'name=Grace&title=Meanwhile'
    await app.inject({ method: 'POST', url: '/write', headers: FORM, payload })
    await settled(page, latest)
    await page.mouse.up()
    for (const each of [page, other]) await each.getByRole('heading', { name: 'Latest notes' }).waitFor()
    await button(page, 'Five visitors clap').click()
    for (const each of [page, other]) await each.getByText('the projection has counted up to 6').waitFor()
    t.match(await page.locator('.totals').textContent(), /0 server errors/)
    t.equal(await page.evaluate('document.body.dataset.isTheSame'), 'yes')
    t.equal(new URL(page.url()).search, '')
    await screenshot(page, 'demo')
    await page.route('**/reads', route => route.fulfill({ body: 'This is no page of ours.' }))
    const loaded = page.waitForEvent('load')
    await button(page, 'Read 20 times').click()
    await loaded
  })

  await t.test('listens while somebody looks, and again when it was refused', async t => {
    const page = await open(t, browser, { viewport: DESKTOP })
    await watchStreams(page)
    await hurry(page)
    await page.addInitScript(`Object.defineProperty(document, 'hidden', { value: true, configurable: true })`)
    await page.route('**/live', route => route.fulfill({ status: 204 }), { times: 1 })
    await page.goto(url)
    t.equal(await page.evaluate('streams.length'), 0, 'a tab that was opened in the background')
    await putBehind(page, false)
    t.ok(await eventually(() => page.evaluate<boolean>('streams[0].readyState === EventSource.CLOSED')))
    t.ok(await eventually(() => page.evaluate<boolean>('streams[1]?.readyState === EventSource.OPEN')))
    await app.inject('/authors?limit=7')
    await request(page, 'GET /authors').waitFor()
    await putBehind(page, true)
    t.equal(await listening(page), 0)
    await putBehind(page, false)
    t.equal(await listening(page), 1)
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
