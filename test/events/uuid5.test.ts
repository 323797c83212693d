import t from 'tap'
import {
  NAMESPACE_DNS,
  NAMESPACE_OID,
  NAMESPACE_URL,
  NAMESPACE_X500,
  uuid5,
} from '../../plugins/events/uuid5.ts'

t.test('the example of RFC 9562, appendix A.4', async t => {
  t.equal(uuid5(NAMESPACE_DNS, 'www.example.com'), '2ed6657d-e927-568b-95e1-2665a8aea6a2')
})

t.test('the same as Python makes of the same names', async t => {
  t.equal(uuid5(NAMESPACE_URL, '/dogs/Fido'), '1e1d7398-8986-57af-bb01-11a89b2f8b02')
  t.equal(uuid5(NAMESPACE_OID, ''), '0a68eb57-c88a-5f34-9e9d-27f85e68af4f')
  t.equal(uuid5(NAMESPACE_X500, 'cn=Jürg 🐕'), 'e37f04fc-164f-5d22-8a31-02ff806c682f')
})

t.test('the namespace may be written in upper case, the name may be bytes', async t => {
  const id = uuid5(NAMESPACE_URL, '/dogs/Fido')
  t.equal(uuid5(NAMESPACE_URL.toUpperCase(), '/dogs/Fido'), id)
  t.equal(uuid5(NAMESPACE_URL, new TextEncoder().encode('/dogs/Fido')), id)
})

t.test('a namespace that is no UUID is refused', async t => {
  for (const namespace of ['', 'url', `${NAMESPACE_URL}0`, `{${NAMESPACE_URL}}`]) {
    t.throws(() => uuid5(namespace, 'x'), { code: 'SQLA_ERR_INVALID_OPTION' })
  }
})
