// Python's texts are made of code points, JavaScript's of UTF-16: a character beyond U+FFFF is two units here, which sort
// before some characters that they should come after, and half of it can be found.

/** Negative, 0 or positive, by code points. */
export function compareTexts(a: string, b: string): number {
  if (a === b) return 0
  for (let at = 0; at < a.length && at < b.length; ) {
    const left = a.codePointAt(at) as number
    const right = b.codePointAt(at) as number
    if (left !== right) return left - right
    at += left > 0xffff ? 2 : 1
  }
  return a.length - b.length
}

/** Whether `part` is in `text`, as whole characters. */
export function containsText(text: string, part: string): boolean {
  if (part.isWellFormed()) return text.includes(part)
  for (let at = text.indexOf(part); at !== -1; at = text.indexOf(part, at + 1)) {
    if (!splitsCharacter(text, at) && !splitsCharacter(text, at + part.length)) return true
  }
  return false
}

function splitsCharacter(text: string, at: number): boolean {
  return at > 0 && (text.codePointAt(at - 1) as number) > 0xffff
}
