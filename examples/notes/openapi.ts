import type { SwaggerOptions } from '@fastify/swagger'

/** What Swagger UI shows around the routes' own schemas. */
export const openApi: SwaggerOptions = {
  openapi: {
    info: {
      title: 'Notes',
      version: '1.0.0',
      description: `Authors and their notes, on three engines of **fastify-sqlassist**.

| engine | kind | used for |
|---|---|---|
| \`writer\` | transactional | everything that changes authors and notes. Committed before a 2xx leaves, rolled back otherwise |
| \`reader\` | read-only | every GET, from a standby. Clients that keep cookies always find what they have written |
| \`logger\` | autocommit | one audit line per attempted change; it stays when the change is rolled back |`,
    },
    tags: [
      { name: 'authors', description: 'People who write notes. A name exists once.' },
      { name: 'notes', description: 'Each belongs to one author.' },
      { name: 'service', description: 'For whoever runs it.' },
    ],
  },
  // Without it the shared schemas would be called def-0, def-1, …
  refResolver: {
    buildLocalReference: (json, _baseUri, _fragment, index) =>
      typeof json.$id === 'string' ? json.$id : `schema-${index}`,
  },
}

/** Swagger UI brings scripts and inline styles of its own, and nothing from anywhere else. */
export const docsSecurityPolicy = [
  "default-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')
