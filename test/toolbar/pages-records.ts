import type { Entry, Records, StatementRecord } from '../../plugins/toolbar/records.ts'

// Records that no request has made, for what the pages do with them.

export function entryOf(entry: Partial<Entry> = {}): Entry {
  return {
    id: 1,
    kind: 'request',
    method: 'GET',
    route: '/notes',
    url: '/notes',
    startedAt: Date.parse('2026-01-31T12:00:00Z'),
    duration: 100,
    status: 200,
    outcome: undefined,
    sessions: [],
    statements: [],
    dropped: 0,
    routes: [],
    waits: [],
    flags: [],
    segments: undefined,
    events: [],
    steps: [],
    ...entry,
  }
}

export function statementOf(statement: Partial<StatementRecord> = {}): StatementRecord {
  return {
    number: 1,
    engine: 'writer',
    server: 'primary',
    host: undefined,
    processId: undefined,
    dialect: 'postgresql',
    at: 25,
    duration: 50,
    rows: 1,
    error: undefined,
    inTransaction: true,
    sql: 'select $1',
    text: undefined,
    parameters: undefined,
    origin: undefined,
    repeats: 1,
    ...statement,
  }
}

export function recordsOf(entries: readonly Entry[], rest: Partial<Records> = {}): Records {
  return {
    entries: () => entries,
    get: id => entries.find(entry => entry.id === id),
    limit: 100,
    replicas: () => [],
    subscriptions: () => [],
    clear() {},
    onChange: () => () => {},
    ...rest,
  }
}
