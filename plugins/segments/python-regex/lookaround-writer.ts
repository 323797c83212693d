import type { Node, PlaceKind } from './nodes.ts'
import { RegexWriter } from './writer.ts'

/** Writes a pattern for an engine that has lookarounds: with them, places and boundaries mean the same in each. */
export abstract class LookaroundWriter extends RegexWriter {
  protected readonly pattern: Node

  /** @param pattern all of it, for what depends on the rest of it */
  constructor(pattern: Node) {
    super()
    this.pattern = pattern
  }

  protected override place(place: PlaceKind): string {
    switch (place) {
      case 'textStart':
        return '^'
      case 'textEnd':
        return '$'
      case 'lineStart':
        return '(?:^|(?<=\\n))'
      case 'lineEnd':
        return '(?=\\n|$)'
      case 'lastLineEnd':
        return '(?=\\n?$)'
    }
  }

  protected override boundary({ word, isNegated }: Node & { kind: 'boundary' }): string {
    const inside = this.set(word)
    if (!isNegated) return `(?:(?<=${inside})(?!${inside})|(?<!${inside})(?=${inside}))`
    const outside = this.set(word.complement())
    return `(?:(?<=${inside})(?=${inside})|(?<=${outside})(?!${inside})|(?<!${inside})(?=${outside}))`
  }

  protected override look({ isAhead, isNegated, body }: Node & { kind: 'look' }): string {
    return `(?${isAhead ? '' : '<'}${isNegated ? '!' : '='}${this.write(body)})`
  }
}
