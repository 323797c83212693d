// What the fragments of docs/diagnostics.md stand on: an application whose plugins they register.
import { defineConfig } from '@mikro-orm/postgresql'
import Fastify from 'fastify'
import sqlAssist, { observe } from 'fastify-sqlassist'
import { traceComments } from 'fastify-sqlassist/diagnostics'

const app = Fastify()
const orm = defineConfig({
  clientUrl: process.env.WRITER_URL ?? '',
  entities: [],
  discovery: { warnWhenNoEntities: false },
})
void [app, orm, sqlAssist, observe, traceComments]
