import { type Html, html } from './html.ts'

/** What became of a form. */
export interface Message {
  readonly kind: 'success' | 'problem'
  readonly text: string | Html
}

export function banner({ kind, text }: Message): Html {
  return kind === 'problem'
    ? html`<div class="banner problem" id="problem" role="alert"><strong>Not saved.</strong> ${text}</div>`
    : html`<p class="banner success" role="status">${text}</p>`
}
