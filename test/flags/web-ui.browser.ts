import type { Browser } from 'playwright-core'
import t, { type Test } from 'tap'
import { type FlagStore, MemoryFlagStorage } from '../../plugins/flags/index.ts'
import { onEveryBackend } from '../support/backends.ts'
import { launchBrowser, PHONE, screenshot, skip } from '../support/browser.ts'
import { tablesOn } from './tables.ts'
import { loaded, openTab, press, servePages, watchTab } from './web-ui-tab.ts'

const NAME = 'checkout/new <script>alert(1)</script> "a" & 100 % 🚀'

interface InPage {
  focused(): { name: string; outline: number; inView: boolean } | undefined
  textsBelow(ratio: number): string[]
  pageWidth(): number
}
// The compiler must not see it here: its DOM types are not those of the sources.
const inPage: InPage = await import(new URL('../examples/in-page.ts', import.meta.url).href)

/** What somebody does with the pages who has them alone, and with others. */
async function flows(t: Test, browser: Browser, storage: FlagStore): Promise<void> {
  const url = `${await servePages(t, storage)}/admin/flags`
  const flag = async (name: string) => (await storage.list()).find(one => one.name === name)

  await t.test('create, edit, disable, delete, restore and delete for ever, without JavaScript', async t => {
    const page = await openTab(t, browser, { javaScriptEnabled: false })
    await page.goto(url)
    t.ok(await page.getByText('No flags yet').isVisible())
    await loaded(page, () => page.getByRole('main').getByRole('link', { name: 'New flag' }).click())
    await page.getByLabel('Percentage', { exact: true }).fill('120')
    await press(page, 'Create flag')
    t.match(await page.getByRole('alert').textContent(), /A flag needs a name/)
    t.equal(
      await page.getByLabel('Percentage', { exact: true }).inputValue(),
      '120',
      'what was typed is kept',
    )
    await screenshot(page, 'mistake')

    await page.getByLabel('Name').first().fill(NAME)
    await page.getByLabel('Percentage', { exact: true }).fill('25')
    await page.getByLabel('Entry that tells actors apart', { exact: true }).fill('user_id')
    await page.getByLabel('Switched on').check()
    await page.getByLabel('On from').fill('2026-01-31T12:00')
    await page.getByLabel('Owner').fill('Team Checkout')
    await loaded(page, () => page.getByLabel('Owner').press('Enter'))
    t.match(await page.getByRole('status').textContent(), /Created/, 'Enter saves')
    t.match(await flag(NAME), {
      enabled: true,
      enabled_for_percentage_of_actors: { actor_key: 'user_id', percentage: 25 },
      from: '2026-01-31T12:00Z',
      owner: 'Team Checkout',
    })

    await press(page, 'More rows for variants')
    t.equal(await page.getByRole('group', { name: /^Variant / }).count(), 5)
    await page.getByLabel('for variants').first().fill('user_id')
    const variant = page.getByRole('group', { name: 'Variant 1' })
    await variant.getByLabel('Name').fill('blue')
    await variant.getByLabel('Weight').fill('1')
    await variant.getByLabel('Value').fill('{"color":"blue"}')
    await page.getByLabel('Description').fill('The new checkout,\nfor a quarter of all.')
    await press(page, 'Save changes')
    t.match(await page.getByRole('status').textContent(), /Saved/)
    t.match(await flag(NAME), {
      description: 'The new checkout,\nfor a quarter of all.',
      variants: { options: [{ name: 'blue', value: { color: 'blue' } }] },
      from: '2026-01-31T12:00Z',
    })

    await loaded(page, () => page.getByRole('link', { name: 'Active' }).click())
    await press(page, 'Disable')
    t.match(await page.getByRole('status').textContent(), /Switched off/)
    t.match(await flag(NAME), { enabled: false })
    await loaded(page, () => page.getByRole('link', { name: NAME }).click())
    await press(page, 'Delete')
    t.match(await flag(NAME), { deleted: true })
    await loaded(page, () => page.getByRole('link', { name: 'Deleted' }).click())
    await press(page, 'Restore')
    t.match(await flag(NAME), { deleted: false, owner: 'Team Checkout' })
    await press(page, 'Delete')
    await loaded(page, () => page.getByRole('link', { name: 'Deleted' }).click())
    await loaded(page, () => page.getByRole('link', { name: NAME }).click())
    await loaded(page, () => page.getByRole('link', { name: /Delete for ever/ }).click())
    await press(page, /Delete for ever/)
    t.match(await page.getByRole('status').textContent(), /Deleted for ever/)
    t.equal(await flag(NAME), undefined)
  })

  await t.test('a browser sends what a form could not show exactly as it was shown', async t => {
    const odd = {
      from: '2026-01-01T00:00:00.123+02:00',
      until: '2026-01-01T00:00:01.5Z',
      description: '\n\nbegins with empty lines\r',
      enabled_for_actors: { actor_key: 'id', actor_ids: ['', 'a\nb', ' c '] },
      variants: { actor_key: 'id', options: [{ name: 'v', weight: 1e-7, value: 'line\nbreak' }] },
    }
    await storage.upsert({ name: 'odd', ...odd })
    const page = await openTab(t, browser)
    await page.goto(`${url}/edit?name=odd`)
    await page.getByLabel('Owner').fill('me')
    await press(page, 'Save changes')
    const { owner, ...rest } = (await flag('odd')) ?? {}
    t.equal(owner, 'me')
    t.match(rest, odd)
    await storage.purge('odd')
  })

  await t.test('two tabs: the second is told and sees both', async t => {
    const first = await openTab(t, browser)
    const second = watchTab(t, await first.context().newPage())
    await storage.upsert({ name: 'summer-sale' })
    for (const page of [first, second]) await page.goto(`${url}/edit?name=summer-sale`)
    await first.getByLabel('Owner').fill('First')
    await press(first, 'Save changes')
    await second.getByLabel('Owner').fill('Second')
    await press(second, 'Save changes')
    t.match(await second.getByRole('alert').textContent(), /somebody else has changed/)
    t.same(await second.getByRole('row', { name: /Owner/ }).getByRole('cell').allTextContents(), [
      'Second',
      'First',
    ])
    await screenshot(second, 'conflict')
    t.match(await flag('summer-sale'), { owner: 'First' })
    await press(second, 'Save mine over it')
    t.match(await flag('summer-sale'), { owner: 'Second' })
  })
}

t.test('the pages of the flags in a browser', { skip }, async t => {
  const browser = await launchBrowser(t)

  await onEveryBackend(
    t,
    async (t, backend) => flows(t, browser, await (await tablesOn(t, backend)).make()),
    ['PostgreSQL'],
  )

  const storage = new MemoryFlagStorage()
  const origin = await servePages(t, storage)
  const url = `${origin}/admin/flags`
  const flag = async (name: string) => (await storage.list()).find(one => one.name === name)
  for (const name of ['new-checkout', 'beta/search', 'dark mode 🌙', 'summer-sale', 'legacy-export']) {
    await storage.upsert({
      name,
      enabled: name !== 'legacy-export',
      description:
        name === 'summer-sale' ? 'Banner and prices of the sale, on the start page and in the basket.' : null,
      owner: 'Team Checkout',
      ...(name === 'new-checkout' && {
        enabled_for_percentage_of_actors: { actor_key: 'user_id', percentage: 25 },
        requires: ['beta/search'],
      }),
    })
  }

  await t.test('works under another prefix, and with the keyboard', async t => {
    const page = await openTab(t, browser)
    await page.goto(`${origin}/other/place`)
    const stops: string[] = []
    for (let presses = 0; presses < 12; presses++) {
      await page.keyboard.press('Tab')
      const stop = await page.evaluate(inPage.focused)
      if (stop === undefined) break
      t.ok(stop.outline >= 2 && stop.inView, `${stop.name} is outlined and in view`)
      stops.push(stop.name)
    }
    t.same(stops.slice(0, 8), [
      'Skip to content',
      'Feature flags',
      'Active',
      'Deleted',
      'Unused',
      'New flag',
      'q',
      'Search',
    ])
    await page.getByRole('searchbox').fill('sale')
    await loaded(page, () => page.keyboard.press('Enter'))
    t.match(page.url(), /\/other\/place\/\?q=sale/)
    t.equal(await page.getByRole('listitem').count(), 1)
    await loaded(page, () => page.getByRole('button', { name: 'Disable summer-sale' }).press('Enter'))
    t.match(await flag('summer-sale'), { enabled: false })
    t.match(page.url(), `${origin}/other/place/`)
  })

  await t.test('has landmarks, one main heading, and a label for every field', async t => {
    const page = await openTab(t, browser)
    for (const path of ['/', '/new', '/edit?name=new-checkout', '/purge?name=new-checkout']) {
      await page.goto(url + path)
      for (const role of ['banner', 'navigation', 'main', 'contentinfo'] as const) {
        t.equal(await page.getByRole(role).count(), 1, `${path} ${role}`)
      }
      t.equal(await page.getByRole('heading', { level: 1 }).count(), 1)
      const fields = page.locator('input:not([type=hidden]), textarea, select')
      const bare = await fields.evaluateAll(
        all => all.filter(one => (one as unknown as { labels: unknown[] }).labels.length === 0).length,
      )
      t.equal(bare, 0, `${path}: every field has a label`)
      const lost = await page
        .locator('[aria-describedby]')
        .evaluateAll(all =>
          all.flatMap(one =>
            (one.getAttribute('aria-describedby') ?? '')
              .split(' ')
              .filter((id: string) => one.ownerDocument.getElementById(id) === null),
          ),
        )
      t.same(lost, [], `${path}: every description is there`)
    }
  })

  for (const colorScheme of ['light', 'dark'] as const) {
    await t.test(`has enough contrast when it is ${colorScheme}`, async t => {
      const page = await openTab(t, browser, { colorScheme })
      for (const [name, path] of [
        ['list', '/'],
        ['edit', '/edit?name=new-checkout'],
      ] as const) {
        await page.goto(url + path)
        await screenshot(page, `${name}-${colorScheme}`)
        t.same(await page.evaluate(inPage.textsBelow, 4.5), [], `${name}: every text has 4.5 : 1`)
      }
    })
  }

  await t.test('fits a phone', async t => {
    const page = await openTab(t, browser, { viewport: PHONE, isMobile: true, deviceScaleFactor: 2 })
    for (const [name, path] of [
      ['list', '/'],
      ['edit', '/edit?name=new-checkout'],
    ] as const) {
      await page.goto(url + path)
      t.ok((await page.evaluate(inPage.pageWidth)) <= PHONE.width, `${name}: no sideways scroll`)
      const small = await page
        .locator('input:not([type=hidden]):not([type=checkbox]), select, textarea, button, .button')
        .evaluateAll(all => all.filter(one => one.getBoundingClientRect().height < 44).length)
      t.equal(small, 0, `${name}: controls are large enough for a finger`)
      await screenshot(page, `${name}-phone`)
    }
  })
})
