import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { type Browser, chromium, type Page, type Response } from 'playwright-core'
import t, { type Test } from 'tap'

// A real browser: CHROMIUM_PATH, or Debian's. With SCREENSHOTS=<directory> it keeps pictures of what it saw.

const executablePath = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'

/** Why there is no browser here; false when there is one. */
export const skip = existsSync(executablePath) ? false : `no browser at ${executablePath}; set CHROMIUM_PATH`
if (skip) t.comment(`skipped: ${skip}`)

const ARGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

export const DESKTOP = { width: 1280, height: 800 }
export const PHONE = { width: 360, height: 740 }

/** Starts the browser, and ends it when `t` is torn down. */
export async function launchBrowser(t: Test): Promise<Browser> {
  const browser = await chromium.launch({ executablePath, args: ARGS })
  t.teardown(() => browser.close())
  return browser
}

/** Fails the test when the browser has something to complain about but answers with a status that is to be shown. */
export function watch(t: Test, page: Page, shown: RegExp): Page {
  page.on('console', message => {
    if (!shown.test(message.text())) t.fail(`console: ${message.text()}`)
  })
  page.on('pageerror', error => t.fail(`error in the page: ${error.message}`))
  page.on('requestfailed', request => t.fail(`could not load ${request.url()}`))
  return page
}

/** Keeps the streams that a page opens, so that {@link listening} can count them. */
export async function watchStreams(page: Page): Promise<void> {
  await page.addInitScript(`globalThis.streams = []
    globalThis.EventSource = class extends EventSource {
      constructor(url) {
        super(url)
        streams.push(this)
      }
    }`)
}

/** How many streams of a page are open. */
export function listening(page: Page): Promise<number> {
  return page.evaluate('streams.filter(({ readyState }) => readyState !== EventSource.CLOSED).length')
}

/** Makes the timers of a page go off after a twentieth of their time. */
export async function hurry(page: Page): Promise<void> {
  await page.addInitScript(`const later = setTimeout
    globalThis.setTimeout = (run, milliseconds = 0) => later(run, milliseconds / 20)`)
}

/** Puts a tab into the background, as far as its script sees, or in front again. */
export async function putBehind(page: Page, isBehind: boolean): Promise<void> {
  await page.evaluate(`Object.defineProperty(document, 'hidden', { value: ${isBehind}, configurable: true })
    document.dispatchEvent(new Event('visibilitychange'))`)
}

/** Waits until a page has done what it does with an answer that it has got. */
export async function settled(page: Page, answer: Promise<Response>): Promise<void> {
  await (await answer).finished()
  await page.evaluate(
    'new Promise(resolve => requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(resolve, 50))))',
  )
}

export async function screenshot(page: Page, name: string): Promise<void> {
  const directory = process.env.SCREENSHOTS
  if (!directory) return
  await mkdir(directory, { recursive: true })
  await page.screenshot({ path: join(directory, `${name}.png`), fullPage: true })
}
