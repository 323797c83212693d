import { defineErrors, type ErrorClasses, type ErrorRow } from '../src/index.ts'

/** The error table of the command `sqlassist`. `docs/errors.md` says for each code how to solve it. */
export const errorTable = {
  SQLA_ERR_CLI_APP: { message: '--app %s: %s' },
  SQLA_ERR_CLI_START: { message: 'The application of %s did not start: %s' },
  SQLA_ERR_CLI_CONFIRM: { message: '%s was not confirmed, so nothing was done. %s' },
  SQLA_ERR_CLI_FILE: { message: '%s: %s' },
} as const satisfies Record<string, ErrorRow>

/** The error classes of the command `sqlassist`, by code. */
export const errors: ErrorClasses<typeof errorTable> = defineErrors(errorTable)
