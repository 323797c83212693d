/// <reference lib="dom" />

// These functions run in the browser: they may use nothing but what they are given.

/** What has the focus, how thick its outline is, whether it can be seen. */
export function focused(): { name: string; outline: number; inView: boolean } | undefined {
  const element = document.activeElement
  if (element === null || element === document.body) return undefined
  const style = getComputedStyle(element)
  const { top, bottom, left } = element.getBoundingClientRect()
  return {
    name: element.id || (element.textContent ?? ''),
    outline: style.outlineStyle === 'none' ? 0 : Number.parseFloat(style.outlineWidth),
    inView: left >= 0 && top >= 0 && bottom <= innerHeight,
  }
}

/** Every text whose contrast with what is behind it is below `ratio`. */
export function textsBelow(ratio: number): string[] {
  const channels = (color: string) => (color.match(/[\d.]+/g) ?? []).map(Number)
  const luminance = (color: string) => {
    const [red = 0, green = 0, blue = 0] = channels(color).map(value => {
      const part = value / 255
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
    })
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
  }
  const behind = (element: Element | null): string => {
    if (element === null) return 'rgb(255, 255, 255)'
    const color = getComputedStyle(element).backgroundColor
    return (channels(color)[3] ?? 1) === 0 ? behind(element.parentElement) : color
  }
  const found: string[] = []
  for (const element of document.body.querySelectorAll('*')) {
    const text = [...element.childNodes]
      .filter(node => node.nodeType === Node.TEXT_NODE)
      .map(node => node.textContent?.trim())
      .join('')
    if (text === '') continue
    const [light = 0, dark = 0] = [
      luminance(getComputedStyle(element).color),
      luminance(behind(element)),
    ].sort((a, b) => b - a)
    const contrast = (light + 0.05) / (dark + 0.05)
    if (contrast < ratio) found.push(`${contrast.toFixed(2)} ${text}`)
  }
  return found
}

/** How wide the page is, scrolled parts included. */
export function pageWidth(): number {
  return document.documentElement.scrollWidth
}
