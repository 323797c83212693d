import { createHash } from 'node:crypto'

// Everything works without this script. It runs in the browser as it stands here, so it is plain JavaScript; the tests of the
// pages run it in one.

/**
 * Hears of changes and shows them: what is in `#live` of a list is replaced by what the server says now; a page with a form
 * is left alone, and says that somebody else has changed the flag.
 */
export const liveScript = `'use strict'
{
  const place = document.getElementById('live')
  const events = new URL('events', document.currentScript.src)
  const { url, flag, version } = place.dataset
  const isForm = version !== undefined
  if (isForm) place.setAttribute('role', 'status')
  // The newest change that this page knows of.
  let seen = Number(place.dataset.seen)
  let source
  let retry
  let isLooking = false
  let isAskedAgain = false
  let isPressed = false

  const wait = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds))

  function open() {
    if (source || document.hidden) return
    source = new EventSource(events)
    source.addEventListener('ready', event => {
      const now = JSON.parse(event.data).version
      if (now !== seen) look()
      seen = now
    })
    source.addEventListener('change', event => {
      const { version, complete, flags, gone } = JSON.parse(event.data)
      seen = version
      const isMeant =
        flag === undefined || complete || gone.includes(flag) || flags.some(({ name }) => name === flag)
      if (isMeant) look()
    })
    // A browser comes again by itself, unless the server has refused.
    source.addEventListener('error', () => {
      if (source?.readyState !== EventSource.CLOSED) return
      close()
      retry = setTimeout(open, 30_000)
    })
  }

  function close() {
    clearTimeout(retry)
    source?.close()
    source = undefined
  }

  // Many changes at once are looked at together.
  async function look() {
    isAskedAgain = true
    if (isLooking) return
    isLooking = true
    while (isAskedAgain) {
      isAskedAgain = false
      for (const pause of [0, 2_000, 10_000]) {
        await wait(pause)
        if (await update().catch(() => false)) break
      }
      await wait(300)
    }
    isLooking = false
  }

  // Returns whether the server has answered.
  async function update() {
    const answer = await fetch(url, { redirect: 'manual', cache: 'no-store' })
    if (isForm && answer.status === 404) return showNotice()
    if (!answer.ok) return false
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
    const fresh = page.getElementById('live')
    if (!fresh) return false
    if (isForm) return fresh.dataset.version === version || showNotice()
    // A button that vanished between the press and the release would do nothing.
    while (isPressed) await wait(50)
    if (fresh.innerHTML !== place.innerHTML) replaceBy(fresh)
    return true
  }

  function replaceBy(fresh) {
    const held = place.contains(document.activeElement) && document.activeElement
    const key = held && held.closest('[data-key]')?.dataset.key
    place.replaceChildren(...fresh.childNodes)
    if (held) focusAgain(key, nameOf(held))
    say('The list has changed.')
  }

  // On the same thing of the same flag. Where a button has become its opposite the focus is on the flag, so that nobody
  // presses what they did not mean.
  function focusAgain(key, name) {
    const item = [...place.querySelectorAll('[data-key]')].find(one => one.dataset.key === key)
    const controls = [...(item?.querySelectorAll('a, button') ?? [])]
    const target = controls.find(one => nameOf(one) === name) ?? controls[0] ?? place
    target.focus({ preventScroll: true })
  }

  function nameOf(control) {
    return control.getAttribute('aria-label') ?? control.textContent
  }

  // A reader of the screen hears of what comes into an element that it knows already.
  function say(text) {
    let status = document.getElementById('live-status')
    if (!status) {
      status = document.createElement('p')
      status.id = 'live-status'
      status.className = 'unseen'
      status.setAttribute('role', 'status')
      place.after(status)
    }
    status.textContent = ''
    setTimeout(() => {
      status.textContent = text
    }, 100)
  }

  function showNotice() {
    const notice = place.querySelector('template')
    if (notice) notice.replaceWith(notice.content)
    close()
    return true
  }

  addEventListener('pointerdown', () => {
    isPressed = true
  })
  for (const end of ['pointerup', 'pointercancel', 'blur']) {
    addEventListener(end, () => {
      isPressed = false
    })
  }
  // What this page itself changes is no news for it.
  addEventListener('submit', close)
  // A browser opens few connections to one server; a tab that nobody looks at has none.
  addEventListener('pagehide', close)
  addEventListener('pageshow', open)
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) close()
    else open()
  })
}
`

/** Part of the script's address, so that it may be kept for ever. */
export const liveScriptHash = createHash('sha256').update(liveScript).digest('base64url').slice(0, 16)
