/** The name of the scopes in which the toolbar itself asks a database: they are not recorded. */
export const OWN_SCOPE = 'toolbar explain'
