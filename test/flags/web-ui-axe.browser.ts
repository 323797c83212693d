import axe, { type AxeResults } from 'axe-core'
import type { Page } from 'playwright-core'
import t from 'tap'
import { type FlagStore, MemoryFlagStorage } from '../../plugins/flags/index.ts'
import { DESKTOP, launchBrowser, PHONE, screenshot, skip } from '../support/browser.ts'
import { openTab, press, servePages } from './web-ui-tab.ts'

// Every page, in every look, as axe judges it: https://dequeuniversity.com/rules/axe/

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

/** Both schemes and both widths; colours do not depend on the width. */
const LOOKS = [
  ['light', DESKTOP],
  ['dark', PHONE],
] as const

/** What axe has to complain about, and where. */
async function violations(page: Page): Promise<string[]> {
  const results: AxeResults = await page.evaluate(
    `axe.run(document, { runOnly: ${JSON.stringify(RULES)}, resultTypes: ['violations'] })`,
  )
  return results.violations.flatMap(({ id, nodes }) =>
    nodes.map(node => `${id}: ${node.html} ${node.failureSummary}`),
  )
}

/** Flags of all kinds, with a past. */
async function fill(storage: FlagStore): Promise<void> {
  const real = Date.now
  const daysAgo = async (days: number, work: () => Promise<unknown>): Promise<void> => {
    Date.now = () => real() - days * 86_400_000
    await work().finally(() => {
      Date.now = real
    })
  }
  await daysAgo(90, async () => {
    await storage.noteAsked?.(['legacy-export'])
    await storage.upsert({ name: 'legacy-export', owner: 'Team Reports', enabled: true })
    await storage.upsert({ name: 'old-banner', description: 'The banner of last spring.' })
    await storage.upsert({ name: 'gone', description: 'Not needed any more.' }, { author: 'Ann' })
    await storage.delete('gone', { author: 'Bob' })
  })
  await storage.upsert({ name: 'beta/search', enabled: true }, { author: 'Ann' })
  for (let number = 0; number < 120; number++) await storage.upsert({ name: `z-${number}` })
  const whole = {
    name: 'new-checkout',
    enabled: true,
    description: 'The new checkout,\nfor a quarter of all.',
    owner: 'Team Checkout',
    enabled_for_percentage_of_actors: { actor_key: 'user_id', percentage: 25 },
    requires: ['beta/search'],
    from: '2026-01-01T00:00:00Z',
    variants: {
      actor_key: 'user_id',
      options: [
        {
          name: 'blue',
          weight: 1,
          value: { color: '#00f', note: 'a value that is rather long, longer than a phone' },
        },
        { name: 'green', weight: 3, value: { color: '#0f0' } },
      ],
      otherwise: 'green',
    },
  }
  await storage.upsert({ name: 'new-checkout' }, { author: 'Ann Example' })
  await storage.upsert(whole, { author: 'Bob' })
  await storage.upsert({ name: 'new-checkout', enabled: false })
  await storage.delete('new-checkout', { author: 'somebody-with-a-name-that-is-long@example.com' })
  await storage.upsert({ name: 'new-checkout', deleted: false })
  for (let number = 0; number < 47; number++) {
    await storage.upsert({ name: 'new-checkout', owner: `Team ${number % 7}`, enabled: number % 2 === 0 })
  }
}

t.test('axe finds nothing wrong with any page', { skip }, async t => {
  const browser = await launchBrowser(t)
  const [storage, empty] = [new MemoryFlagStorage(), new MemoryFlagStorage()]
  await fill(storage)
  const url = `${await servePages(t, storage)}/admin/flags`
  const emptyUrl = `${await servePages(t, empty)}/admin/flags`
  const page = await openTab(t, browser)
  await page.context().addInitScript({ content: axe.source })
  const field = (label: string) => page.getByLabel(label, { exact: true })

  /** How somebody gets to see a page. */
  const pages: Record<string, () => Promise<unknown>> = {
    list: () => page.goto(`${url}/?page=2`),
    'list-changed': async () => {
      await page.goto(`${url}/?q=beta`)
      await press(page, 'Disable beta/search')
    },
    'list-empty': () => page.goto(emptyUrl),
    'list-nothing-found': () => page.goto(`${url}/?q=nothing`),
    'list-deleted': () => page.goto(`${url}/?view=deleted`),
    unused: () => page.goto(`${url}/?view=unused`),
    'unused-unknown': () => page.goto(`${emptyUrl}/?view=unused`),
    new: () => page.goto(`${url}/new`),
    edit: () => page.goto(`${url}/edit?name=new-checkout`),
    notice: async () => {
      await storage.upsert({ name: 'new-checkout', owner: 'Team Live' })
      await page.getByText('Somebody has changed this flag.').waitFor()
    },
    conflict: async () => {
      await field('Description').fill('Mine')
      await press(page, 'Save changes')
    },
    problems: async () => {
      await field('Percentage').fill('120')
      await field('Value (JSON)').first().fill('blue')
      await press(page, 'Save mine over it')
    },
    deleted: () => page.goto(`${url}/edit?name=gone`),
    purge: () => page.goto(`${url}/purge?name=gone`),
    history: () => page.goto(`${url}/history?name=new-checkout`),
    'history-older': () => page.getByRole('link', { name: 'Older' }).click(),
    'history-unknown': () => page.goto(`${url}/history?name=z-0&before=1`),
    'not-done': () => page.goto(`${url}/edit?name=none`),
  }
  for (const [name, open] of Object.entries(pages)) {
    await page.setViewportSize(DESKTOP)
    await open()
    for (const [colorScheme, size] of LOOKS) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize(size)
      t.same(await violations(page), [], `${name}, ${colorScheme}`)
      await screenshot(page, `${name}-${colorScheme}`)
    }
  }

  await page.goto(`${url}/new`)
  await page.evaluate("document.querySelector('label[for=owner]').remove()")
  const found = await violations(page)
  t.ok(
    found.some(text => text.startsWith('label: ')),
    'it would find something',
  )
})
