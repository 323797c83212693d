import t from 'tap'
import { createTables, testApp } from '../support/app.ts'
import { launchBrowser, skip } from '../support/browser.ts'
import { testDatabase } from '../support/cluster.ts'
import { addToolbarApp, REQUESTS } from './pages-app.ts'
import { checkLooks, openPage } from './pages-in-browser.ts'

// Every page in both colour schemes, on a desk and on a phone. That of the replicas is looked at in `toolbar.browser.ts`.

t.test('axe finds nothing wrong with any page, and none is wider than a phone', { skip }, async t => {
  const [browser, db] = await Promise.all([launchBrowser(t), testDatabase(t)])
  await createTables(db)
  const test = await testApp(t, db, {
    plugin: { commitMode: 'autocommit' },
    routes: app => addToolbarApp(app, { prefix: '/debug' }),
  })
  for (const [method, path] of REQUESTS) await test.ask(method, path)
  const page = await openPage(t, browser)
  for (const [name, path] of Object.entries({
    requests: '/',
    'nothing-found': '/?q=nothing',
    write: '/requests/1',
    'one-by-one': '/requests/3#s2',
    broken: '/requests/5',
    engines: '/engines',
    plugins: '/plugins',
  })) {
    await page.goto(`http://127.0.0.1:${test.port}/debug${path}`)
    await checkLooks(t, page, name)
  }
})
