// Statements that speak of transactions: those of savepoints are carried out by ours, the others must not reach the server.

export interface SavepointCommand {
  readonly is: 'savepoint' | 'rollback' | 'release'
  readonly name: string
}

/** Space and comments: `sqlComments` puts one behind every statement. */
const GAP = String.raw`(?:\s|--[^\n]*(?:\n|$)|/\*(?:[^*]|\*(?!/))*\*/)*`
const SAVEPOINT = new RegExp(
  String.raw`^${GAP}(savepoint|rollback\s+(?:work\s+|transaction\s+)?to(?:\s+savepoint)?|release(?:\s+savepoint)?)\s+("(?:[^"]|"")+"|\w+)${GAP};?${GAP}$`,
  'i',
)
const ENDING = new RegExp(
  String.raw`^${GAP}(begin|start\s+transaction|commit|end|abort|rollback(?!\s+(?:work\s+|transaction\s+)?to\b)|prepare\s+transaction)\b`,
  'i',
)

export function savepointCommand(sql: string): SavepointCommand | undefined {
  const match = SAVEPOINT.exec(sql)
  if (match === null) return undefined
  const [, verb = '', name = ''] = match
  const [is] = verb.toLowerCase().split(/\s/)
  return { is: is as SavepointCommand['is'], name: name.startsWith('"') ? name : `"${name.toLowerCase()}"` }
}

/** @returns the first words of a statement that begins or ends a transaction */
export function transactionCommand(sql: string): string | undefined {
  return ENDING.exec(sql)?.[1]?.toUpperCase()
}
