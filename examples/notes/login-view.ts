import { html } from './html.ts'
import { layout } from './layout.ts'

/** What is wrong, and what was typed; never the password. */
interface Attempt {
  readonly problem?: string
  readonly name?: string | undefined
}

const footer = html`<p class="narrow"><a href="/">Back to the notes</a></p>`

export function loginPage({ problem, name }: Attempt): string {
  return layout({
    title: `${problem ? 'Not logged in – ' : ''}Log in – Notes`,
    main: html`
  <div class="narrow">
    <h1>Log in</h1>
    <p class="lead">The feature flags of this service are for whoever runs it.</p>
    ${problem && html`<p class="banner problem" id="problem" role="alert">${problem}</p>`}
    <form class="card login" method="post" action="/admin/login">
      <label for="name">Your name</label>
      <input id="name" name="name" required maxlength="40" autocomplete="username" aria-describedby="name-hint" value="${name}">
      <p class="hint" id="name-hint">The history of a flag names you beside your changes. Nobody checks it.</p>
      <label for="password">Password</label>
      <input id="password" name="password" type="password" required maxlength="200" autocomplete="current-password" aria-describedby="password-hint"${problem && html` aria-invalid="true" aria-errormessage="problem" autofocus`}>
      <p class="hint" id="password-hint">That of <code>ADMIN_PASSWORD</code>, else the one that the service printed when it began.</p>
      <button>Log in</button>
    </form>
  </div>`,
    footer,
  })
}

export function loggedInPage(user: string): string {
  return layout({
    title: 'Logged in – Notes',
    main: html`
  <div class="narrow">
    <h1>You are logged in</h1>
    <p class="lead">The history of a flag calls you <strong>${user}</strong>.</p>
    <form class="card login" method="post" action="/admin/logout">
      <p><a href="/admin/flags/">Go to the feature flags</a></p>
      <button>Log out</button>
    </form>
  </div>`,
    footer,
  })
}
