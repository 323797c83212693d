// What the fragments of docs/flags-api.md stand on: an application with flags, and a key of who may change them.
import { timingSafeEqual } from 'node:crypto'
import Fastify from 'fastify'
import { flags, flagsApi, MemoryFlagStorage, ofrep } from 'fastify-sqlassist/flags'

process.env.ADMIN_KEY = 'secret'
const app = Fastify()
await app.register(flags, { storage: new MemoryFlagStorage() })
void [timingSafeEqual, flagsApi, ofrep]
