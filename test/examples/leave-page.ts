import type { Page } from 'playwright-core'

/**
 * Does with a key or the mouse what takes a page away. A browser that leaves may not answer the input any more, and playwright
 * waits for that answer without a limit: so what is waited for is where it leads to.
 */
export async function leavePage(page: Page, input: () => Promise<void>, to: RegExp): Promise<void> {
  // Its error comes when the page is closed.
  input().catch(() => {})
  await page.waitForURL(to)
}
