// Everything works without this script; it spares reloading the page. It runs in browsers as it stands here.

const still = matchMedia('(prefers-reduced-motion: reduce)')
const news = document.getElementById('news')
const latest = document.getElementById('latest-part')
/** What has come while a button was pressed: one that went away between the press and the release would do nothing. */
const waiting = new Map()
let isPressed = false
/** Which version of the flag and the notes there is by now. */
let wanted = latest.dataset.version
let source

function listen() {
  if (source || document.hidden) return
  source = new EventSource('/live')
  source.onmessage = ({ data }) => show(JSON.parse(data))
  source.onerror = () => {
    // A browser comes back by itself, unless it was answered with an error.
    if (source?.readyState !== EventSource.CLOSED) return
    leave()
    setTimeout(listen, 5_000)
  }
}

function leave() {
  source?.close()
  source = undefined
}

function show({ parts, states, flow, version }) {
  for (const [name, html] of Object.entries(parts)) waiting.set(name, html)
  place()
  for (const [server, state] of Object.entries(states)) {
    for (const element of document.querySelectorAll(`[data-server="${server}"][data-state]`)) {
      if (element.dataset.state !== state) element.dataset.state = state
    }
  }
  fly(flow)
  if (wanted === String(version)) return
  wanted = String(version)
  refresh()
}

function place() {
  if (isPressed) return
  for (const [name, html] of waiting) {
    const part = document.querySelector(`[data-part="${name}"]`)
    if (part) replace(part, html)
  }
  waiting.clear()
}

/** The same element has the focus afterwards, as far as it is there. */
function replace(part, html) {
  const focused = part.contains(document.activeElement) && document.activeElement.id
  part.innerHTML = html
  if (focused)
    (document.getElementById(focused) ?? part.querySelector('button'))?.focus({ preventScroll: true })
}

/** What depends on who asks is asked for, unless the answer to a form brings it anyway. */
async function refresh() {
  await new Promise(resolve => setTimeout(resolve, 300))
  if (latest.dataset.version === wanted) return
  latest.dataset.version = wanted
  const answer = await fetch('/latest').catch(() => undefined)
  if (!answer?.ok) return
  waiting.set('latest', await answer.text())
  place()
}

/** Each statement on the way to its server. */
function fly(flow) {
  if (still.matches || document.hidden) return
  for (const [index, { engine, server }] of flow.entries()) {
    const ways = document.querySelectorAll(`.wires [data-engine="${engine}"][data-server="${server}"]`)
    const way = [...ways].find(
      path => path.getBoundingClientRect().height + path.getBoundingClientRect().width > 0,
    )
    if (way) send(way, index * Math.min(60, 900 / flow.length))
  }
}

function send(way, delay) {
  const dot = document.createElementNS('http://www.w3.org/2000/svg', 'circle')
  dot.setAttribute('r', '5')
  dot.dataset.server = way.dataset.server
  dot.classList.add('statement')
  way.parentNode.append(dot)
  const length = way.getTotalLength()
  const frames = Array.from({ length: 25 }, (_, step) => {
    const { x, y } = way.getPointAtLength((length * step) / 24)
    return { transform: `translate(${x}px, ${y}px)`, opacity: step === 0 || step === 24 ? 0 : 1 }
  })
  const flight = dot.animate(frames, { duration: 650, delay, easing: 'ease-in-out', fill: 'backwards' })
  flight.onfinish = () => {
    dot.remove()
    const card = document.querySelector(`.server[data-server="${way.dataset.server}"]`)
    card?.animate([{ boxShadow: '0 0 0 3px var(--server)' }, { boxShadow: '0 0 0 0 transparent' }], {
      duration: 500,
    })
  }
  flight.oncancel = () => dot.remove()
}

/** Forms are sent without leaving the page: what they lead to is a whole page, of which the parts that depend on it are taken. */
addEventListener('submit', async event => {
  const form = event.target
  event.preventDefault()
  const body = new URLSearchParams(new FormData(form, event.submitter))
  form.ariaBusy = 'true'
  try {
    const answer = await fetch(form.action, { method: 'POST', body })
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
    const [message, fresh] = ['message', 'latest-part'].map(id => page.getElementById(id))
    document.getElementById('message').innerHTML = message.innerHTML
    news.textContent = message.textContent.trim()
    latest.dataset.version = fresh.dataset.version
    waiting.delete('latest')
    replace(latest, fresh.innerHTML)
  } catch {
    // No page of ours: whatever it is, this shows it.
    location.reload()
  }
  form.ariaBusy = null
})

addEventListener('pointerdown', () => {
  isPressed = true
})
for (const end of ['pointerup', 'pointercancel', 'blur']) {
  addEventListener(end, () => {
    isPressed = false
    // Behind the click that belongs to it.
    setTimeout(place)
  })
}
// Browsers open few connections to one server: a page that nobody sees gives its own back.
document.addEventListener('visibilitychange', () => (document.hidden ? leave() : listen()))
addEventListener('pagehide', leave)
addEventListener('pageshow', listen)
