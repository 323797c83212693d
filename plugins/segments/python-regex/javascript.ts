import type { CharSet } from './charset.ts'
import { LookaroundWriter } from './lookaround-writer.ts'
import { isNullable, type Node, nodesOf } from './nodes.ts'
import { isSetWhenever } from './references.ts'
import { brackets, Declined, hex, isPlain, quantifier } from './writer.ts'

/**
 * The same regular expression for JavaScript, at the text's start.
 *
 * @throws {Declined} where JavaScript would not agree with Python
 */
export function toJavascript(pattern: Node): RegExp {
  return new RegExp(new JavascriptWriter(pattern).write(pattern), 'uy')
}

class JavascriptWriter extends LookaroundWriter {
  protected override readonly longest = 2_000_000
  #atoms = 0
  #isBehind = false

  protected override set(set: CharSet): string {
    if (set.isEmpty) return '[]'
    if (set.size === 1) return literal(set.edges[0] as number)
    return set.isAll
      ? '[^]'
      : brackets(set, code => (isPlain(code) ? String.fromCharCode(code) : escaped(code)))
  }

  protected override group({ number, body }: Node & { kind: 'group' }): string {
    return `(?<g${number}>${this.write(body)})`
  }

  /** A lookahead is never tried otherwise, and what it saw can be taken. */
  protected override atomic({ body }: Node & { kind: 'atomic' }): string {
    // Lookbehinds run backwards, so that the reference would come first
    if (this.#isBehind) throw new Declined('an atomic group in a lookbehind')
    if (hasEmptyRounds(body)) throw new Declined('a repeat of nothing in an atomic group')
    const name = `a${++this.#atoms}`
    return `(?=(?<${name}>${this.write(body)}))\\k<${name}>`
  }

  protected override look(node: Node & { kind: 'look' }): string {
    // A lookaround is never tried otherwise either: what is captured in it is what comes first
    const isCapturing = nodesOf(node.body).some(inner => inner.kind === 'group')
    if (isCapturing && hasEmptyRounds(node.body))
      throw new Declined('a repeat of nothing around a group in a lookaround')
    const around = this.#isBehind
    this.#isBehind = !node.isAhead
    const text = super.look(node)
    this.#isBehind = around
    return text
  }

  protected override reference({ group, ignores }: Node & { kind: 'reference' }): string {
    if (ignores) throw new Declined('a reference to a group that ignores case')
    if (!isSetWhenever(this.pattern, group))
      throw new Declined('a reference to a group that may not have matched')
    return `\\k<g${group}>`
  }

  protected override repeat(node: Node & { kind: 'repeat' }): string {
    if (node.mode === 'possessive') throw new Declined('a possessive repeat of several rounds')
    return `${this.atom(node.body)}${quantifier(node.min, node.max)}${node.mode === 'lazy' ? '?' : ''}`
  }
}

/** Python ends a repeat at a round that matched nothing, JavaScript tries the round otherwise. */
function hasEmptyRounds(node: Node): boolean {
  return nodesOf(node).some(
    inner => inner.kind === 'repeat' && inner.min < inner.max && isNullable(inner.body),
  )
}

function literal(code: number): string {
  if (isPlain(code)) return String.fromCharCode(code)
  return '^$\\.*+?()[]{}|/'.includes(String.fromCodePoint(code))
    ? `\\${String.fromCodePoint(code)}`
    : escaped(code)
}

function escaped(code: number): string {
  return `\\u{${hex(code, 1)}}`
}
