// Everything works without this script; it spares reloading the page. It runs in browsers as it stands here.

const place = document.getElementById('live')
const news = document.getElementById('news')
let shown = place.innerHTML
let latest = shown
let isPressed = false
let source

function listen() {
  if (source || document.hidden) return
  source = new EventSource('/applause/stream')
  source.onmessage = ({ data }) => {
    latest = JSON.parse(data)
    show()
  }
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

function show() {
  const fresh = document.createElement('template')
  fresh.innerHTML = latest
  // A button that went away between the press and the release would do nothing.
  if (isPressed || fresh.innerHTML === shown) return
  shown = fresh.innerHTML
  for (const note of fresh.content.querySelectorAll('[data-claps]')) {
    const before = document.getElementById(note.id)?.dataset.claps
    note.classList.toggle('changed', before !== note.dataset.claps)
  }
  const focused = place.contains(document.activeElement) && document.activeElement.id
  place.replaceChildren(fresh.content)
  if (focused) document.getElementById(focused)?.focus({ preventScroll: true })
  news.textContent = `The list has changed at ${new Date().toLocaleTimeString()}.`
}

addEventListener('pointerdown', () => {
  isPressed = true
})
for (const end of ['pointerup', 'pointercancel', 'blur']) {
  addEventListener(end, () => {
    isPressed = false
    // Behind the click that belongs to it.
    setTimeout(show)
  })
}
// Browsers open few connections to one server: a page that nobody sees gives its own back.
document.addEventListener('visibilitychange', () => (document.hidden ? leave() : listen()))
addEventListener('pagehide', leave)
addEventListener('pageshow', listen)
