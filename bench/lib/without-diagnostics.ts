import { registerHooks } from 'node:module'

// Imported first, it makes the package one that has no diagnostics: every question whether somebody listens is answered with no
// before the program is compiled. There is no such option: it is for the comparison.

const QUESTIONS = /\b\w+\.hasSubscribers\b|\bhasStatementListeners\(\)(?! \{)/g

let answered = 0

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context)
    if (!/\/dist\/(?:src|plugins)\//.test(url) || !url.endsWith('.js')) return loaded
    const source = String(loaded.source).replace(QUESTIONS, () => {
      answered++
      return 'false'
    })
    return { ...loaded, source }
  },
})

/** How many questions there were: 0 would mean that nothing is compared. */
export const answeredQuestions = (): number => answered
