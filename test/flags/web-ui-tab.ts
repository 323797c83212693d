import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import type { Test } from 'tap'
import { type FlagStore, flags, flagsWebUi } from '../../plugins/flags/index.ts'
import { DESKTOP } from '../support/browser.ts'

// The pages of the flags in a real browser.

/** A conflict and a mistake are among the things that are shown. */
const SHOWN = /status of (400|404|409)/

/** An application that listens, with the pages under /admin/flags and under /other/place. */
export async function servePages(t: Test, storage: FlagStore, ttl = 5_000): Promise<string> {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(flags, { storage, ttl, recordUsage: false })
  await app.register(flagsWebUi, { prefix: '/admin/flags', authorize: 'none', author: () => 'Ann' })
  await app.register(flagsWebUi, { prefix: '/other/place', authorize: 'none' })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
}

/** A tab in a browser of its own. */
export async function openTab(t: Test, browser: Browser, options: BrowserContextOptions = {}): Promise<Page> {
  const context = await browser.newContext({ viewport: DESKTOP, ...options })
  t.teardown(() => context.close())
  return watchTab(t, await context.newPage())
}

/** Fails the test when the browser has something to complain about, but not that a page which it leaves hears no more. */
export function watchTab(t: Test, page: Page): Page {
  page.on('console', message => {
    if (!SHOWN.test(message.text())) t.fail(`console: ${message.text()}`)
  })
  page.on('pageerror', error => t.fail(`error in the page: ${error.message}`))
  page.on('requestfailed', request => {
    const isLeft = request.failure()?.errorText === 'net::ERR_ABORTED'
    const isLive = request.resourceType() === 'eventsource' || request.resourceType() === 'fetch'
    if (!isLeft || !isLive) t.fail(`could not load ${request.url()}: ${request.failure()?.errorText}`)
  })
  return page
}

/** What is done, and the page that comes of it: until then nobody knows what the server has done. */
export async function loaded(page: Page, act: () => Promise<void>): Promise<void> {
  const load = page.waitForEvent('load')
  await act()
  await load
}

export async function press(page: Page, name: string | RegExp): Promise<void> {
  await loaded(page, () => page.getByRole('button', { name }).click())
}
