import t from 'tap'
import { launchBrowser, screenshot, skip } from '../support/browser.ts'
import { allCurrent, replicatedCluster, routedApp } from '../support/routed-app.ts'
import { addToolbarApp, REQUESTS } from './pages-app.ts'
import { checkLooks, openPage } from './pages-in-browser.ts'

// The pages of the toolbar in a real browser, on real servers.

const PREFIX = '/deep/down/toolbar'

t.test('the toolbar in a browser', { skip }, async t => {
  const [browser, cluster] = await Promise.all([launchBrowser(t), replicatedCluster(t, 2)])
  const test = await routedApp(t, cluster, { routes: app => addToolbarApp(app, { prefix: PREFIX }) })
  await allCurrent(test, cluster)
  for (const [method, path] of REQUESTS) await test.ask(method, path)
  const url = `http://127.0.0.1:${test.port}${PREFIX}`
  const open = (options = {}) => openPage(t, browser, options)

  await t.test('an open list hears of requests, until it is told to pause', async t => {
    const page = await open()
    await page.goto(`${url}/?q=live`)
    await page.getByText('None of the').waitFor()
    await page.getByRole('searchbox').fill('something typed')
    await test.ask('GET', '/notes/live-1')
    await page.getByText('/notes/live-1').waitFor()
    t.equal(await page.getByRole('searchbox').inputValue(), 'something typed', 'what is typed stays')
    t.match(await page.getByRole('status').textContent(), /updated|^$/)
    const link = page.getByRole('link', { name: /notes/ })
    await link.focus()
    await test.ask('GET', '/notes/live-2')
    await page.getByText('/notes/live-2').waitFor()
    t.equal(await page.locator('a:focus').count(), 1, 'the focus stays on a link')
    t.match(await page.locator('tr:has(:focus)').textContent(), /live-1/, 'of the same request')
    await page.getByRole('button', { name: 'Live' }).click()
    await page.getByRole('button', { name: 'Paused' }).waitFor()
    await test.ask('GET', '/notes/live-3')
    await page.waitForTimeout(600)
    t.equal(await page.getByText('/notes/live-3').count(), 0)
    await page.getByRole('button', { name: 'Paused' }).click()
    await page.getByText('/notes/live-3').waitFor()
    await Promise.all([page.waitForURL(`${url}/`), page.getByRole('button', { name: 'Clear' }).click()])
    await page.getByText('Nothing yet.').waitFor()
  })

  await t.test('a plan comes to its statement, and stays there with what is open', async t => {
    await test.ask('GET', '/one-by-one')
    const page = await open()
    await page.goto(url)
    await page.getByRole('link', { name: '/one-by-one' }).click()
    // On a busy machine it is slow as well.
    await page.getByRole('link', { name: 'statement 1' }).first().click()
    const body = page.locator('#s1')
    t.ok(await body.isVisible(), 'a link to a statement opens it')
    await body.getByRole('button', { name: /EXPLAIN ANALYZE/ }).click()
    await body.getByText('Execution Time').waitFor()
    t.match(page.url(), /requests\/\d+#s1$/, 'it is the same page')
    await screenshot(page, 'plan-in-place')
    await page.reload()
    t.ok(await page.locator('#s1').isVisible(), 'and so does the address')
  })

  await t.test('an open request is shown as it goes on', async t => {
    const { promise: asked, resolve: answer } = Promise.withResolvers<void>()
    const work = test.app.sqlAssist.run(
      async ({ writer }) => {
        await writer.execute('select 1 as first')
        await asked
        await writer.execute('select 2 as second')
      },
      { name: 'going on' },
    )
    const page = await open()
    await page.goto(url)
    await page.getByRole('link', { name: 'going on' }).click()
    await page.getByText('running').first().waitFor()
    const first = page.locator('details').first()
    await first.locator('summary').click()
    await first.getByRole('button').click()
    await first.getByText('Execution Time').waitFor()
    await first.locator('summary').focus()
    answer()
    await work
    await page.locator('details').nth(1).waitFor()
    await page.getByText('commit').first().waitFor()
    t.ok(await first.getByText('Execution Time').isVisible(), 'what is open stays open, with its plan')
    t.equal(await first.locator('summary:focus').count(), 1, 'and the focus where it was')
  })

  await t.test('without JavaScript everything is there', async t => {
    const page = await open({ javaScriptEnabled: false })
    await page.goto(url)
    t.equal(await page.getByRole('button', { name: 'Live' }).isVisible(), false, 'nothing is live')
    await page.getByRole('searchbox').fill('one-by')
    await page.getByLabel('Only with warnings').check()
    await page.getByRole('button', { name: 'Filter' }).click()
    await page.waitForURL(/q=one-by&warnings=1/)
    await page.getByRole('link', { name: '/one-by-one' }).click()
    t.match(
      await page.getByRole('list', { name: 'Warnings' }).textContent(),
      /N\+1.*6 times from .*pages-app\.ts:\d+/,
    )
    await page.locator('summary').first().click()
    await page.getByRole('button', { name: 'EXPLAIN ANALYZE of statement 1' }).click()
    t.match(await page.getByLabel('EXPLAIN ANALYZE').textContent(), /Execution Time/)
    await screenshot(page, 'plan')
    await page.getByRole('link', { name: /one-by-one/ }).click()
    t.match(page.url(), /#s1$/)
    for (const place of ['Engines', 'Replicas', 'Plugins']) {
      await page.getByRole('link', { name: place }).click()
      t.equal(await page.getByRole('heading', { level: 1 }).textContent(), place)
    }
  })

  await t.test('the replicas are shown as they are now', async t => {
    const page = await open()
    await page.goto(`${url}/replicas`)
    const card = page.getByRole('region', { name: 'replica2', exact: true })
    t.match(await card.textContent(), /online/)
    await cluster.replicas[1]?.stop()
    await card.getByText('down').first().waitFor()
    await page.locator('.while-down').first().waitFor({ state: 'attached' })
    t.match(await card.getByRole('img').getAttribute('aria-label'), /Lag of replica2: .*down/)
    await checkLooks(t, page, 'replicas')
  })
})
