/** A fenced block of a page, with the directive in the HTML comment right above it. */
export interface CodeBlock {
  readonly page: string
  readonly line: number
  readonly language: string
  readonly code: string
  /** `<!-- with: name -->`: the program that the block is a part of (`test/docs/preludes/<name>.ts`). */
  readonly prelude: string | undefined
  /** `<!-- expect: GET /x 200, … -->`: requests that the program must answer so. */
  readonly expectations: readonly Expectation[]
  /** `<!-- walk-through -->`: one of the steps that a reader takes one after the other in one folder (`walk-through.ts`). */
  readonly step: Step | undefined
}

export interface Step {
  /** `<!-- walk-through: app.ts -->`: the block is this file. Else it is typed into a shell. */
  readonly file: string | undefined
  /** `<!-- walk-through, stays -->`: the command goes on while the next steps are taken. */
  readonly stays: boolean
}

export interface Expectation {
  readonly method: 'GET' | 'POST'
  readonly url: string
  readonly status: number
}

const BLOCK = /(?:<!-- ([^\n]*?) -->\n)?^```(\w+)\n([\s\S]*?)^```$/gm

export function codeBlocks(page: string, text: string): CodeBlock[] {
  return [...text.matchAll(BLOCK)].map(match => {
    const [, directive = '', language = '', code = ''] = match
    const step = /^walk-through(?:: (\S+))?(, stays)?$/.exec(directive)
    return {
      page,
      line: text.slice(0, match.index).split('\n').length,
      language,
      code,
      prelude: /with: ([\w-]+)/.exec(directive)?.[1],
      expectations: [...directive.matchAll(/(GET|POST) (\S+) (\d{3})/g)].map(
        ([, method, url = '', status]) => ({
          method: method as 'GET' | 'POST',
          url,
          status: Number(status),
        }),
      ),
      step: step === null ? undefined : { file: step[1], stays: step[2] !== undefined },
    }
  })
}
