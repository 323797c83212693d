// What `sqlassist transactions … --app` loads in a test.
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist from '../../src/index.ts'

const { URL_OF_A = '', URL_OF_B = '', WITHOUT } = process.env
const orm = (clientUrl: string) =>
  defineConfig({ clientUrl, entities: [], discovery: { warnWhenNoEntities: false } })

export default async function commandApp() {
  const app = Fastify()
  await app.register(sqlAssist, {
    twoPhase: WITHOUT === undefined,
    engines: { a: { orm: orm(URL_OF_A) }, b: { orm: orm(URL_OF_B) } },
  })
  return app
}
