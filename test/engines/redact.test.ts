import t from 'tap'
import { messageOf, redact, redactedCause } from '../../src/engines/redact.ts'

t.test('a password does not survive in a text', async t => {
  for (const text of [
    'could not reach postgres://app:s3cret@db:5432/app',
    'Invalid URL: mysql://root:s3cret@127.0.0.1',
    'bad option password=s3cret in options',
    "bad option password: 's3cret' in options",
    'bad option PASSWORD="s3cret", host=db',
  ]) {
    t.notMatch(redact(text), 's3cret', text)
  }
  t.equal(redact('connect ECONNREFUSED 127.0.0.1:5432'), 'connect ECONNREFUSED 127.0.0.1:5432')
})

t.test('a cause keeps its message, name and code, and nothing else that the driver put on it', async t => {
  const error = Object.assign(new TypeError('Invalid URL'), {
    code: 'ERR_INVALID_URL',
    input: 'postgres://app:s3cret@db',
  })
  const cause = redactedCause(error)
  t.match(cause, { message: 'Invalid URL', name: 'TypeError', code: 'ERR_INVALID_URL' })
  t.notMatch(JSON.stringify(Object.getOwnPropertyNames(cause)), 'input')
  t.match(redactedCause('just text').message, 'just text')
})

t.test('an error of several addresses says what each of them answered', async t => {
  const refused = [new Error('connect ECONNREFUSED ::1:1'), new Error('connect ECONNREFUSED 127.0.0.1:1')]
  t.equal(
    messageOf(new AggregateError(refused)),
    'connect ECONNREFUSED ::1:1; connect ECONNREFUSED 127.0.0.1:1',
  )
})
