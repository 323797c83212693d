import { createHash } from 'node:crypto'

// Everything works without this script. It runs in the browser as it stands here, so it is plain JavaScript; the tests of the
// pages run it in one.

/**
 * Keeps what is in `#live` as the server has it now, shows plans where their statements are, and opens the statement that an
 * address names.
 */
export const liveScript = `'use strict'
{
  const place = document.getElementById('live')
  const pause = document.getElementById('pause')
  const events = new URL('events', document.currentScript.src)
  const wait = milliseconds => new Promise(resolve => setTimeout(resolve, milliseconds))
  const parse = text => new DOMParser().parseFromString(text, 'text/html')
  let source
  let retry
  let wasOpen = false
  let isLooking = false
  let isAskedAgain = false
  let isPressed = false
  let saidAt = 0

  const isPaused = () => sessionStorage.getItem('sqlassist-paused') === '1'

  function open() {
    if (!place || source || document.hidden || isPaused()) return
    source = new EventSource(events)
    source.addEventListener('open', () => {
      pause.classList.remove('lost')
      // What happened since the page was made, or while it did not listen, was not heard.
      look()
      wasOpen = true
    })
    source.addEventListener('change', event => {
      const { kind, id } = JSON.parse(event.data)
      const isMeant = place.dataset.kinds.split(' ').includes(kind)
      if (isMeant && (id === undefined || place.dataset.id === undefined || Number(place.dataset.id) === id)) look()
    })
    // A browser comes again by itself, unless the server has refused.
    source.addEventListener('error', () => {
      if (wasOpen) pause.classList.add('lost')
      if (source?.readyState !== EventSource.CLOSED) return
      close()
      retry = setTimeout(open, 10_000)
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
      await update().catch(() => {})
      await wait(300)
    }
    isLooking = false
  }

  async function update() {
    const answer = await fetch(place.dataset.url, { redirect: 'manual', cache: 'no-store' })
    // An entry that was dropped meanwhile stays as it was seen last.
    if (!answer.ok) return
    const fresh = parse(await answer.text()).getElementById('live')
    // A button that vanished between the press and the release would do nothing.
    while (isPressed) await wait(50)
    if (!fresh || isPaused()) return
    restore(fresh)
    if (fresh.innerHTML !== place.innerHTML) replaceBy(fresh)
  }

  const keyed = (root, key) => [...root.querySelectorAll('[data-key]')].find(one => one.dataset.key === key)

  // What is open stays open; plans that were asked for stay.
  function restore(fresh) {
    for (const one of place.querySelectorAll('details[data-key][open]')) {
      keyed(fresh, one.dataset.key)?.setAttribute('open', '')
    }
    for (const one of place.querySelectorAll('.plan-place:not(:empty)')) {
      const same = keyed(fresh, one.dataset.key)
      if (same) same.innerHTML = one.innerHTML
    }
  }

  function replaceBy(fresh) {
    const held = place.contains(document.activeElement) ? document.activeElement : undefined
    const key = held?.closest('[data-key]')?.dataset.key
    const name = held && nameOf(held)
    const scrolled = [...place.querySelectorAll('pre, .scroll')].map(one => [one.scrollLeft, one.scrollTop])
    const rows = new Set([...place.querySelectorAll('tr[data-key]')].map(one => one.dataset.key))
    place.replaceChildren(...fresh.childNodes)
    for (const [index, one] of [...place.querySelectorAll('pre, .scroll')].entries()) {
      const [left, top] = scrolled[index] ?? [0, 0]
      one.scrollTo(left, top)
    }
    for (const row of place.querySelectorAll('tr[data-key]')) {
      if (!rows.has(row.dataset.key)) row.classList.add('fresh')
    }
    if (held) focusAgain(key, name)
    say('The page has been updated.')
  }

  function focusAgain(key, name) {
    const root = (key && keyed(place, key)) || place
    const controls = [...root.querySelectorAll('a, button, summary, pre, .scroll')]
    const target = controls.find(one => nameOf(one) === name) ?? controls[0] ?? place
    target.focus({ preventScroll: true })
  }

  function nameOf(control) {
    return control.getAttribute('aria-label') ?? control.textContent
  }

  // A reader of the screen is told now and then, not of every request.
  function say(text) {
    const status = document.getElementById('status')
    if (Date.now() - saidAt < 15_000) return
    saidAt = Date.now()
    status.textContent = ''
    setTimeout(() => {
      status.textContent = text
    }, 100)
  }

  function showPause() {
    pause.hidden = false
    pause.setAttribute('aria-pressed', String(isPaused()))
    pause.querySelector('.word').textContent = isPaused() ? 'Paused' : 'Live'
  }

  // The plan comes to its statement; without this script it has a page of its own.
  async function explain(form) {
    const target = form.parentElement.querySelector('.plan-place')
    const button = form.querySelector('button')
    button.setAttribute('aria-disabled', 'true')
    try {
      const answer = await fetch(form.action, { method: 'POST', body: new URLSearchParams(new FormData(form)) })
      const plan = parse(await answer.text()).getElementById('plan')
      // Where the answer is none of ours, the browser may show it.
      if (!plan) return form.submit()
      const known = keyed(document, target.dataset.key) ?? target
      known.replaceChildren(...plan.childNodes)
      saidAt = 0
      say('The plan is below the statement.')
    } finally {
      button.removeAttribute('aria-disabled')
    }
  }

  function reveal() {
    const target = /^#s\\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1))
    const details = target && target.closest('details')
    if (!details) return
    details.open = true
    details.querySelector('summary').scrollIntoView({ block: 'center' })
  }

  addEventListener('hashchange', reveal)
  reveal()
  document.addEventListener('submit', event => {
    if (!event.target.matches('form.explain')) return
    event.preventDefault()
    explain(event.target)
  })
  if (place) {
    showPause()
    pause.addEventListener('click', () => {
      sessionStorage.setItem('sqlassist-paused', isPaused() ? '0' : '1')
      showPause()
      close()
      open()
    })
    addEventListener('pointerdown', () => {
      isPressed = true
    })
    for (const end of ['pointerup', 'pointercancel', 'blur']) {
      addEventListener(end, () => {
        isPressed = false
      })
    }
    // A browser opens few connections to one server; a tab that nobody looks at has none.
    addEventListener('pagehide', close)
    addEventListener('pageshow', open)
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) close()
      else open()
    })
  }
}
`

/** Part of the script's address, so that it may be kept for ever. */
export const liveScriptHash = createHash('sha256').update(liveScript).digest('base64url').slice(0, 16)
