/**
 * `fastify-sqlassist/testing`: every request of a test shares one transaction, which is rolled back.
 *
 * @module
 */
export { errors, errorTable } from './errors.ts'
export { type TestDb, testDb } from './test-db.ts'
