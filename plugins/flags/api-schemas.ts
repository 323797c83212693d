import type { Schema } from './schema-check.ts'

// What Swagger shows, and what `strictValidator` checks.

const name: Schema = { type: 'string', minLength: 1, maxLength: 255, description: 'The name of the flag' }
const actorKey: Schema = {
  type: 'string',
  minLength: 1,
  maxLength: 255,
  description: 'The entry that tells actors apart, such as user_id',
}
const time = (description: string): Schema => ({
  type: 'string',
  nullable: true,
  maxLength: 64,
  description: `${description}: ISO 8601 with a zone, such as 2026-01-31T12:00:00Z`,
})
const names = (description: string): Schema => ({
  type: 'array',
  nullable: true,
  items: { type: 'string', minLength: 1, maxLength: 255 },
  description,
})
const text = (description: string): Schema => ({
  type: 'string',
  nullable: true,
  maxLength: 10_000,
  description,
})

/** What may be said of a flag, but for its name. */
const attributes = {
  enabled: { type: 'boolean', description: 'Whether it is on, for whom the rest says' },
  enabled_for_actors: {
    type: 'object',
    nullable: true,
    required: ['actor_key', 'actor_ids'],
    additionalProperties: false,
    properties: {
      actor_key: actorKey,
      actor_ids: { type: 'array', items: { type: 'string', maxLength: 10_000 } },
    },
    description: 'Only for these actors',
  },
  enabled_for_percentage_of_actors: {
    type: 'object',
    nullable: true,
    required: ['actor_key', 'percentage'],
    additionalProperties: false,
    properties: { actor_key: actorKey, percentage: { type: 'number', minimum: 0, maximum: 100 } },
    description: 'Only for a share of the actors',
  },
  hash: {
    type: 'string',
    enum: ['flypper', 'salted'],
    description: 'How a percentage picks its actors: as flypper does, or other ones for every flag',
  },
  variants: {
    type: 'object',
    nullable: true,
    required: ['actor_key', 'options'],
    additionalProperties: false,
    properties: {
      actor_key: actorKey,
      options: {
        type: 'array',
        minItems: 1,
        items: {
          type: 'object',
          required: ['name', 'value', 'weight'],
          additionalProperties: false,
          properties: {
            name: { type: 'string', minLength: 1, maxLength: 255 },
            value: { description: 'Any JSON; of one type in all variants' },
            weight: { type: 'number', minimum: 0, description: 'Its share, relative to the other weights' },
          },
        },
      },
      otherwise: {
        type: 'string',
        nullable: true,
        minLength: 1,
        maxLength: 255,
        description: 'The name of the option for those whom the flag is not meant for, when it is on',
      },
    },
    description: 'Several values',
  },
  segments: names('Only for actors in one of these segments'),
  requires: names('Only where these flags are on, too'),
  from: time('Off before this time'),
  until: time('Off from this time on'),
  owner: text('Who answers for it'),
  description: text('What it is for'),
} as const satisfies Record<string, Schema>

/** The body of a new flag. */
export const newFlag: Schema = {
  type: 'object',
  required: ['name'],
  additionalProperties: false,
  properties: { name, ...attributes },
}

/** The body of a change: what is left out stays as it was. */
export const flagChange: Schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    ...attributes,
    version: { type: 'integer', minimum: 1, description: 'The version that the flag must still have' },
  },
}

/** A flag as it is answered. */
export const storedFlag: Schema = {
  type: 'object',
  required: ['name', 'version', 'enabled', 'deleted', 'updated_at'],
  properties: {
    name,
    version: { type: 'integer', description: 'Of two changes of any flags, the later has the greater one' },
    deleted: { type: 'boolean', description: 'A tombstone' },
    updated_at: { type: 'number', description: 'Seconds since 1970' },
    ...attributes,
  },
}

export const flagList: Schema = {
  type: 'object',
  required: ['version', 'flags'],
  properties: {
    version: {
      type: 'integer',
      description: 'Of the newest change; as Last-Event-ID, where the events go on',
    },
    flags: { type: 'array', items: storedFlag },
  },
}

export const failure: Schema = {
  type: 'object',
  properties: {
    statusCode: { type: 'integer' },
    code: { type: 'string' },
    error: { type: 'string' },
    message: { type: 'string' },
  },
}

/** Why a number in a query is a text: what comes in a query is one, and nothing is guessed of it. */
const numberInQuery = (description: string): Schema => ({ type: 'string', maxLength: 16, description })

export const historyQuery: Schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    limit: numberInQuery('How many changes, from 1 to 1000; 100 by default'),
    before: numberInQuery('Only what is older than this version: the last one of the page before'),
  },
}

/** What was done to a flag. */
export const flagHistoryPage: Schema = {
  type: 'object',
  required: ['name', 'history'],
  properties: {
    name,
    history: {
      type: 'array',
      description: 'The newest first',
      items: {
        type: 'object',
        required: ['version', 'action', 'author', 'at', 'data'],
        properties: {
          version: { type: 'integer', description: 'The version that the change has made' },
          action: { type: 'string', enum: ['created', 'changed', 'deleted', 'restored', 'purged'] },
          author: { type: 'string', nullable: true, description: 'Who; null: nobody has said' },
          at: { type: 'number', description: 'Seconds since 1970' },
          data: { ...storedFlag, description: 'The flag after it; of one that was purged, before it' },
        },
      },
    },
  },
}

/** The body of a roll back. */
export const rollBack: Schema = {
  type: 'object',
  required: ['to'],
  additionalProperties: false,
  properties: { to: { type: 'integer', minimum: 1, description: 'The version to go back to' } },
}

export const unusedQuery: Schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    days: numberInQuery('For how many days nobody has asked for them, from 1 to 3650; 30 by default'),
  },
}

/** The flags that nobody seems to need. */
export const unusedList: Schema = {
  type: 'object',
  required: ['since', 'flags'],
  properties: {
    since: {
      type: 'number',
      nullable: true,
      description: 'When it began to be written down who asks: seconds since 1970; null: not yet',
    },
    flags: {
      type: 'array',
      items: {
        type: 'object',
        required: ['flag', 'askedAt'],
        properties: {
          flag: storedFlag,
          askedAt: {
            type: 'number',
            nullable: true,
            description: 'When somebody asked for it last: seconds since 1970; null: never since then',
          },
        },
      },
    },
  },
}

const yesOrNo: Schema = { type: 'string', enum: ['true', 'false'] }

export const flagParams: Schema = { type: 'object', required: ['name'], properties: { name } }

export const listQuery: Schema = {
  type: 'object',
  additionalProperties: false,
  properties: {
    search: {
      type: 'string',
      maxLength: 255,
      description: 'A part of the name, the description or the owner',
    },
    deleted: { ...yesOrNo, description: 'true: the tombstones; otherwise the others' },
  },
}

export const deleteQuery: Schema = {
  type: 'object',
  additionalProperties: false,
  properties: { hard: { ...yesOrNo, description: 'true: without a tombstone, for ever' } },
}

export const ifMatch: Schema = {
  type: 'object',
  properties: {
    'if-match': { type: 'string', description: 'The version that the flag must still have: "7"' },
  },
}
