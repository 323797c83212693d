import axe, { type AxeResults } from 'axe-core'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import type { Test } from 'tap'
import { DESKTOP, PHONE, screenshot } from '../support/browser.ts'

// What the tests of the toolbar's pages do in a browser.

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

/** Both schemes and both widths; colours do not depend on the width. */
const LOOKS = [
  ['light', DESKTOP],
  ['dark', PHONE],
] as const

interface InPage {
  pageWidth(): number
}
// The compiler must not see it here: its DOM types are not those of the sources.
const inPage: InPage = await import(new URL('../examples/in-page.ts', import.meta.url).href)

/** A tab in a browser of its own; what the browser complains about fails the test, unless it is `expected`. */
export async function openPage(
  t: Test,
  browser: Browser,
  options: BrowserContextOptions = {},
  expected?: RegExp,
): Promise<Page> {
  const context = await browser.newContext({ viewport: DESKTOP, ...options })
  t.teardown(() => context.close())
  const page = await context.newPage()
  page.on('console', message => {
    if (!expected?.test(message.text())) t.fail(`console: ${message.text()}`)
  })
  page.on('pageerror', error => t.fail(`error in the page: ${error.message}`))
  return page
}

/** That axe finds nothing wrong with what is open, that it fits a phone; and pictures of it. */
export async function checkLooks(t: Test, page: Page, name: string): Promise<void> {
  for (const [colorScheme, size] of LOOKS) {
    await page.emulateMedia({ colorScheme })
    await page.setViewportSize(size)
    t.same(await violations(page), [], `${name}, ${colorScheme}`)
    t.equal(await page.evaluate(inPage.pageWidth), size.width, `${name} fits ${size.width}`)
    await screenshot(page, `${name}-${colorScheme}-${size.width}`)
  }
}

/** What axe has to complain about, and where. https://dequeuniversity.com/rules/axe/ */
async function violations(page: Page): Promise<string[]> {
  // A page that has been loaded anew has forgotten it.
  await page.evaluate(`globalThis.axe ?? (() => { ${axe.source} })()`)
  const results: AxeResults = await page.evaluate(
    `axe.run(document, { runOnly: ${JSON.stringify(RULES)}, resultTypes: ['violations'] })`,
  )
  return results.violations.flatMap(({ id, nodes }) =>
    nodes.map(node => `${id}: ${node.html} ${node.failureSummary}`),
  )
}
