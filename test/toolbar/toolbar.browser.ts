import t, { type Test } from 'tap'
import { eventually } from '../support/app.ts'
import {
  hurry,
  launchBrowser,
  listening,
  putBehind,
  screenshot,
  settled,
  skip,
  watchStreams,
} from '../support/browser.ts'
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
  const open = (t: Test, options = {}, expected?: RegExp) => openPage(t, browser, options, expected)

  await t.test('an open list hears of requests, until it is told to pause', async t => {
    const page = await open(t)
    await page.goto(`${url}/?q=live`)
    await page.getByText('None of the').waitFor()
    await page.getByRole('searchbox').fill('something typed')
    await page.evaluate(`globalThis.said = []
      const status = document.getElementById('status')
      new MutationObserver(() => said.push(status.textContent)).observe(status, { childList: true })`)
    await test.ask('GET', '/notes/live-1')
    await page.getByText('/notes/live-1').waitFor()
    t.equal(await page.getByRole('searchbox').inputValue(), 'something typed', 'what is typed stays')
    const link = page.getByRole('link', { name: /notes/ })
    await link.focus()
    await test.ask('GET', '/notes/live-2')
    await page.getByText('/notes/live-2').waitFor()
    t.equal(await page.locator('a:focus').count(), 1, 'the focus stays on a link')
    t.match(await page.locator('tr:has(:focus)').textContent(), /live-1/, 'of the same request')
    t.match(await page.locator('tr.fresh').textContent(), /live-2/, 'what is new stands out')
    t.equal(await page.locator('tr.fresh').count(), 1)
    t.ok(await eventually(() => page.evaluate<boolean>('said.length > 0')))
    t.same(await page.evaluate('said'), ['The page has been updated.'], 'two updates are told of once')
    await page.getByRole('button', { name: 'Live', pressed: false }).click()
    await page.getByRole('button', { name: 'Paused', pressed: true }).waitFor()
    await test.ask('GET', '/notes/live-3')
    await page.waitForTimeout(600)
    t.equal(await page.getByText('/notes/live-3').count(), 0)
    await page.getByRole('button', { name: 'Paused' }).click()
    await page.getByText('/notes/live-3').waitFor()
    await Promise.all([page.waitForURL(`${url}/`), page.getByRole('button', { name: 'Clear' }).click()])
    await page.getByText('Nothing yet.').waitFor()
  })

  await t.test('who is paused or in the background does not listen', async t => {
    const page = await open(t)
    await watchStreams(page)
    await page.addInitScript(`Object.defineProperty(document, 'hidden', { value: true, configurable: true })`)
    await page.goto(`${url}/?q=away`)
    t.equal(await listening(page), 0, 'a tab that was opened in the background')
    const first = page.waitForResponse(/q=away/)
    await page.evaluate(`document.getElementById('live').firstElementChild.isTheSame = true`)
    await putBehind(page, false)
    await settled(page, first)
    t.equal(await listening(page), 1)
    const isTheSame = await page.evaluate(`document.getElementById('live').firstElementChild.isTheSame`)
    t.equal(isTheSame, true, 'what has not changed stays')
    await putBehind(page, true)
    t.equal(await listening(page), 0)
    await test.ask('GET', '/notes/away-1')
    await putBehind(page, false)
    await page.getByText('/notes/away-1').waitFor()

    const { promise: isLate, resolve: answer } = Promise.withResolvers<void>()
    await page.route('**/?q=away', async route => {
      await isLate
      await route.continue()
    })
    const asked = page.waitForRequest(/q=away/)
    const answered = page.waitForResponse(/q=away/)
    await test.ask('GET', '/notes/away-2')
    await asked
    await page.getByRole('button', { name: 'Live' }).click()
    answer()
    await settled(page, answered)
    t.equal(await page.getByText('/notes/away-2').count(), 0, 'an answer that comes when it is paused')
    t.equal(await listening(page), 0)
    await page.reload()
    await putBehind(page, false)
    await page.getByRole('button', { name: 'Paused' }).waitFor()
    t.equal(await listening(page), 0, 'it stays paused')
  })

  await t.test('who was refused or cut off comes again, and misses nothing', async t => {
    const page = await open(t)
    await watchStreams(page)
    await hurry(page)
    const { promise: isBack, resolve: comeBack } = Promise.withResolvers<void>()
    let streams = 0
    await page.route('**/events', async route => {
      streams++
      if (streams === 1) return route.fulfill({ status: 204 })
      if (streams === 2) return route.fulfill({ contentType: 'text/event-stream', body: 'retry: 10\n\n' })
      await isBack
      await route.continue()
    })
    await page.goto(`${url}/?q=again`)
    t.ok(await eventually(() => page.evaluate<boolean>('streams[0].readyState === EventSource.CLOSED')))
    const lost = page.locator('.lost')
    t.equal(await lost.count(), 0, 'one that is not needed is not missed')
    await lost.waitFor()
    await page.evaluate(`const real = globalThis.fetch
      globalThis.fetch = async () => {
        globalThis.fetch = real
        throw new TypeError('the server is away')
      }`)
    await test.ask('GET', '/notes/again-1')
    comeBack()
    await lost.waitFor({ state: 'detached' })
    await test.ask('GET', '/notes/again-2')
    for (const path of ['/notes/again-1', '/notes/again-2']) await page.getByText(path).waitFor()
    t.equal(await listening(page), 1)
  })

  await t.test('a link that is held down stays until it is let go', async t => {
    await test.ask('GET', '/notes/held-1')
    const page = await open(t)
    const loaded = page.waitForResponse(response => response.request().resourceType() === 'fetch')
    await page.goto(`${url}/?q=held`)
    await settled(page, loaded)
    await page.getByRole('link', { name: /notes/ }).hover()
    await page.mouse.down()
    const answered = page.waitForResponse(/q=held/)
    await test.ask('GET', '/notes/held-2')
    await settled(page, answered)
    await page.mouse.up()
    await page.getByRole('heading', { name: '/notes/' }).waitFor()
  })

  await t.test('a plan comes to its statement, and stays there with what is open', async t => {
    await test.ask('GET', '/one-by-one')
    const page = await open(t)
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
    const { promise: askedAgain, resolve: answerAgain } = Promise.withResolvers<void>()
    const work = test.app.sqlAssist.run(
      async ({ writer }) => {
        await writer.execute(`select ${Array.from({ length: 60 }, (_, index) => `${index} as c${index}`)}`)
        await asked
        await writer.execute('select 2 as second')
        await askedAgain
        await writer.execute('select 3 as third')
      },
      { name: 'going on' },
    )
    const page = await open(t)
    await page.goto(url)
    await page.getByRole('link', { name: 'going on' }).click()
    await page.getByText('running').first().waitFor()
    const first = page.locator('details').first()
    await first.locator('summary').click()
    await first.getByRole('button').click()
    await first.getByText('Execution Time').waitFor()
    const explain = first.getByRole('button')
    t.equal(await explain.getAttribute('aria-disabled'), null, 'it may be asked for again')
    await explain.focus()
    const sql = first.getByRole('region', { name: 'SQL' })
    await sql.evaluate(element => element.scrollTo(0, 100))
    answer()
    const second = page.locator('details').nth(1)
    await second.waitFor()
    t.ok(await first.getByText('Execution Time').isVisible(), 'what is open stays open, with its plan')
    t.equal(await first.locator('button:focus').count(), 1, 'and the focus where it was')
    t.equal(await sql.evaluate(element => element.scrollTop), 100)

    await page.evaluate(`document.getElementById('status').textContent = ''`)
    const { promise: isLate, resolve: explained } = Promise.withResolvers<void>()
    await page.route('**/explain', async route => {
      await isLate
      await route.continue()
    })
    await second.locator('summary').click()
    await second.getByRole('button').click()
    answerAgain()
    await work
    await page.locator('details').nth(2).waitFor()
    await page.getByText('commit').first().waitFor()
    explained()
    await second.getByText('Execution Time').waitFor()
    await page.getByRole('status').getByText('The plan is below').waitFor()
  })

  await t.test('a request is asked for again when it has changed, not when others have', async t => {
    const page = await open(t)
    await hurry(page)
    await page.goto(url)
    const path = await page.getByRole('link', { name: 'going on' }).getAttribute('href')
    const change = (data: object) => `event: change\ndata: ${JSON.stringify(data)}\n\n`
    const body = `retry: 60000\n\n${change({ kind: 'entry', id: 0 })}${change({ kind: 'replica' })}`
    await page.route('**/events', route => route.fulfill({ contentType: 'text/event-stream', body }))
    let looks = 0
    page.on('request', request => {
      if (request.resourceType() === 'fetch' && request.url().endsWith(path ?? '')) looks++
    })
    const first = page.waitForResponse(response => response.request().resourceType() === 'fetch')
    await page.goto(new URL(path ?? '', url).href)
    await page.locator('.lost').waitFor()
    await settled(page, first)
    t.equal(looks, 1)
  })

  await t.test('what is not kept any more stays as it was seen, and its plan says so', async t => {
    await test.ask('GET', '/one-by-one')
    const [page, list] = [await open(t, {}, /404/), await open(t)]
    await list.goto(url)
    await page.goto(url)
    await page.getByRole('link', { name: '/one-by-one' }).first().click()
    await page.locator('summary').first().click()
    const gone = page.waitForResponse(response => response.status() === 404)
    await list.getByRole('button', { name: 'Clear' }).click()
    await gone
    await page.getByRole('button', { name: 'EXPLAIN ANALYZE of statement 1' }).click()
    await page.getByRole('heading', { name: 'Not here any more' }).waitFor()
  })

  await t.test('without JavaScript everything is there', async t => {
    await test.ask('GET', '/one-by-one')
    const page = await open(t, { javaScriptEnabled: false })
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
    const page = await open(t)
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
