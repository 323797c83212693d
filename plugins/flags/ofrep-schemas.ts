import type { Schema } from './schema-check.ts'

// The messages of the OpenFeature Remote Evaluation Protocol, for Swagger.

const key: Schema = { type: 'string', description: 'The name of the flag' }

export const keyParams: Schema = { type: 'object', required: ['key'], properties: { key } }

export const evaluationRequest: Schema = {
  type: 'object',
  properties: {
    context: {
      type: 'object',
      additionalProperties: true,
      properties: { targetingKey: { type: 'string', description: 'Who asks' } },
    },
  },
}

export const evaluationSuccess: Schema = {
  type: 'object',
  required: ['key'],
  properties: {
    key,
    value: { description: "Without it the client's default holds" },
    reason: { type: 'string' },
    variant: { type: 'string' },
    metadata: { type: 'object', additionalProperties: true },
  },
}

export const evaluationFailure: Schema = {
  type: 'object',
  required: ['errorCode'],
  properties: {
    key,
    errorCode: {
      type: 'string',
      enum: ['PARSE_ERROR', 'INVALID_CONTEXT', 'TARGETING_KEY_MISSING', 'FLAG_NOT_FOUND', 'GENERAL'],
    },
    errorDetails: { type: 'string' },
  },
}

export const bulkResult: Schema = {
  type: 'object',
  required: ['flags'],
  properties: {
    flags: { type: 'array', items: { type: 'object', description: 'An evaluation, or why there is none' } },
  },
}
