import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { buildApp } from '../../examples/notes/app.ts'
import { DESKTOP, launchBrowser, PHONE, screenshot, skip, watch } from '../support/browser.ts'
import { focused, pageWidth, textsBelow } from './in-page.ts'
import { leavePage } from './leave-page.ts'
import { testDatabase, urlsOf } from './support.ts'

const PASSWORD = 'open, sesame'

/** Opens a page that fails the test when the browser has something to complain about. */
async function open(t: Test, browser: Browser, options: BrowserContextOptions): Promise<Page> {
  const context = await browser.newContext(options)
  t.teardown(() => context.close())
  // An answer of 409 is one of the things that are shown.
  return watch(t, await context.newPage(), /status of 409/)
}

async function login(page: Page, url: string, password: string): Promise<void> {
  await page.goto(`${url}/admin/flags/`)
  await page.getByLabel('Your name').fill('Ada')
  await page.getByLabel('Password').fill(password)
  await page.getByRole('button', { name: 'Log in' }).click()
}

t.test('the page of the notes, and the flags, in a browser', { skip }, async t => {
  const app = await buildApp(urlsOf(await testDatabase(t)), { adminPassword: PASSWORD })
  t.teardown(() => app.close())
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const browser = await launchBrowser(t)

  await t.test('adds an author and a note, without JavaScript', async t => {
    const page = await open(t, browser, { viewport: DESKTOP, javaScriptEnabled: false })
    await page.goto(`${url}/notes-page`)
    t.equal(await page.title(), 'Notes')
    await screenshot(page, 'empty')

    await page.getByLabel('Name').fill('Ada <Lovelace>')
    await page.getByRole('button', { name: 'Add author' }).click()
    t.match(await page.getByRole('status').textContent(), /Saved/)
    t.ok(await page.getByRole('heading', { name: 'Ada <Lovelace>' }).isVisible())

    await page.getByRole('combobox', { name: 'Author' }).selectOption('Ada <Lovelace>')
    await page.getByLabel('Title').fill('On the Analytical Engine')
    await page
      .getByLabel('Text')
      .fill('It weaves algebraical patterns\njust as the Jacquard loom weaves flowers.')
    await page.getByRole('button', { name: 'Add note' }).click()
    t.ok(await page.getByText('On the Analytical Engine').isVisible())
    t.ok(await page.getByRole('cell', { name: 'Add a note (form)' }).isVisible(), 'and its audit line')
    await screenshot(page, 'desktop')

    await page.getByLabel('Name').fill('Ada <Lovelace>')
    await page.getByRole('button', { name: 'Add author' }).click()
    t.match(await page.getByRole('alert').textContent(), /There is an author named/)
    t.equal(await page.getByLabel('Name').inputValue(), 'Ada <Lovelace>', 'what was typed is kept')
    t.ok(await page.getByRole('cell', { name: '409 rolled back' }).isVisible())
    await screenshot(page, 'conflict')
  })

  await t.test('can be used with the keyboard, and shows where the focus is', async t => {
    const page = await open(t, browser, { viewport: DESKTOP })
    await page.goto(`${url}/notes-page`)
    const stops: string[] = []
    for (let presses = 0; presses < 20; presses++) {
      await page.keyboard.press('Tab')
      const stop = await page.evaluate(focused)
      if (stop === undefined) break
      t.ok(stop.outline >= 2 && stop.inView, `${stop.name} is outlined and in view`)
      stops.push(stop.name)
    }
    t.same(stops, [
      'Skip to content',
      'Notes',
      'All notes',
      'Applause',
      'API documentation',
      'Health',
      'Feature flags',
      'name',
      'Add author',
      'author',
      'title',
      'text',
      'Add note',
      'Try the API',
      'Watch where each statement goes',
    ])
    await page.getByLabel('Name').focus()
    await page.keyboard.type('Grace Hopper')
    await leavePage(page, () => page.keyboard.press('Enter'), /\?author=/)
    t.ok(await page.getByRole('heading', { name: 'Grace Hopper' }).isVisible())
  })

  await t.test('has landmarks, headings in order, labels and a caption', async t => {
    const page = await open(t, browser, { viewport: DESKTOP })
    await page.goto(`${url}/notes-page`)
    for (const role of ['banner', 'navigation', 'main', 'contentinfo'] as const) {
      t.equal(await page.getByRole(role).count(), 1, role)
    }
    const levels = await page
      .locator('h1, h2, h3')
      .evaluateAll(headings => headings.map(heading => Number(heading.tagName[1])))
    t.equal(levels.filter(level => level === 1).length, 1)
    t.notOk(
      levels.some((level, index) => level > (levels[index - 1] ?? 0) + 1),
      'no level is skipped',
    )
    t.equal(await page.locator('table caption').count(), 1)
    for (const name of ['Name', 'Title', 'Text optional']) {
      t.equal(await page.getByRole('textbox', { name, exact: true }).count(), 1, `${name} has its label`)
    }
    t.equal(await page.getByRole('combobox', { name: 'Author' }).count(), 1)
    t.equal(await page.locator('html').getAttribute('lang'), 'en')
  })

  for (const colorScheme of ['light', 'dark'] as const) {
    await t.test(`has enough contrast when it is ${colorScheme}`, async t => {
      const page = await open(t, browser, { viewport: DESKTOP, colorScheme })
      await page.goto(`${url}/notes-page`)
      await screenshot(page, colorScheme)
      const pale = await page.evaluate(textsBelow, 4.5)
      t.same(pale, [], 'every text has 4.5 : 1')
    })
  }

  await t.test('fits a phone', async t => {
    const page = await open(t, browser, { viewport: PHONE, isMobile: true, deviceScaleFactor: 2 })
    await page.goto(`${url}/notes-page`)
    t.ok((await page.evaluate(pageWidth)) <= PHONE.width, 'no sideways scroll')
    const small = await page
      .locator('input, select, textarea, button')
      .evaluateAll(controls => controls.filter(control => control.getBoundingClientRect().height < 44).length)
    t.equal(small, 0, 'controls are large enough for a finger')
    await screenshot(page, 'phone')
  })

  await t.test('has API documentation beside it', async t => {
    const page = await open(t, browser, { viewport: DESKTOP })
    await page.goto(`${url}/notes-page`)
    await page.getByRole('link', { name: 'API documentation' }).click()
    await page.getByText('Transfer notes').click()
    // It unfolds.
    await page.getByText('all of it happens or nothing').waitFor()
    await screenshot(page, 'docs')
  })

  await t.test('changes with a flag that somebody flips in another tab, without JavaScript', async t => {
    const page = await open(t, browser, { viewport: DESKTOP, javaScriptEnabled: false })
    await page.goto(url)
    const latest = page.getByRole('heading', { name: 'Latest notes' })
    t.equal(await latest.count(), 0)

    // A wrong password is one of the things that are shown.
    const admin = watch(t, await page.context().newPage(), /status of 403/)
    await login(admin, url, 'a guess')
    t.equal(await admin.getByRole('alert').textContent(), 'That is not the password.')
    t.equal(await admin.getByLabel('Your name').inputValue(), 'Ada', 'the name is kept')
    t.equal(await admin.getByLabel('Password').inputValue(), '', 'the password is not')
    await screenshot(admin, 'login-refused')
    await login(admin, url, PASSWORD)
    t.equal(admin.url(), `${url}/admin/flags/`)
    await admin.getByRole('button', { name: 'Enable latest-notes' }).click()
    t.match(await admin.getByRole('status').textContent(), /Switched on/)
    await screenshot(admin, 'flags')

    await page.reload()
    t.ok(await latest.isVisible(), 'the next load has it')
    t.ok(await page.getByText('is on for you').isVisible())
    await screenshot(page, 'flag-on')

    await page.getByRole('link', { name: 'log in or out' }).click()
    await screenshot(page, 'logged-in')
    await page.getByRole('button', { name: 'Log out' }).click()
    t.equal(page.url(), `${url}/`)
    await page
      .getByRole('navigation', { name: 'Service' })
      .getByRole('link', { name: 'Feature flags' })
      .click()
    t.equal(page.url(), `${url}/admin/login`)
  })

  for (const colorScheme of ['light', 'dark'] as const) {
    await t.test(
      `has enough contrast and fits a phone with the flag and the login, ${colorScheme}`,
      async t => {
        const page = await open(t, browser, { viewport: PHONE, isMobile: true, colorScheme })
        for (const [path, name] of [
          ['/notes-page', 'notes'],
          ['/admin/login', 'login'],
          // Last: whoever leaves it leaves its stream, which `watch` takes for a failure.
          ['/', 'flag-on'],
        ]) {
          await page.goto(url + path)
          await screenshot(page, `${name}-phone-${colorScheme}`)
          t.same(await page.evaluate(textsBelow, 4.5), [], `${path}: every text has 4.5 : 1`)
          t.ok((await page.evaluate(pageWidth)) <= PHONE.width, `${path}: no sideways scroll`)
        }
      },
    )
  }
})
