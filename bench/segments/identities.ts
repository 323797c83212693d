import { query } from '../lib/database.ts'

export const ENVIRONMENT = { key: 'bench', name: 'Bench' }

/** How many one statement makes. */
const ROWS_AT_ONCE = 250_000

/**
 * Fills the table with the same identities on every machine: all that looks like chance comes from the MD5 of a number.
 * About 330 bytes of traits each: texts, integers, floats, booleans, and for some of them an array.
 */
export async function fillIdentities(
  url: string,
  identities: number,
  say: (text: string) => void,
): Promise<void> {
  for (let from = 1; from <= identities; from += ROWS_AT_ONCE) {
    const to = Math.min(from + ROWS_AT_ONCE - 1, identities)
    await query(url, [insertSql(from, to)])
    say(`  ${to.toLocaleString('en')} identities`)
  }
  // What is read first would otherwise write: hint bits and the visibility map.
  await query(url, ['vacuum analyze identities', 'checkpoint'])
}

function insertSql(from: number, to: number): string {
  return `
    insert into identities (environment_id, identifier, identity_key, traits)
    select '${ENVIRONMENT.key}', 'user-' || n, '${ENVIRONMENT.key}_user-' || n, jsonb_strip_nulls(jsonb_build_object(
      'plan', (array['free', 'free', 'free', 'free', 'free', 'free', 'pro', 'pro', 'team', 'enterprise'])[1 + d[1] % 10],
      'country', (array['us', 'us', 'us', 'in', 'in', 'br', 'de', 'fr', 'gb', 'jp', 'mx', 'id', 'es', 'it', 'nl', 'nz'])[1 + d[2] % 16],
      'age', 16 + d[3] % 70,
      'logins', d[4] % 5000,
      'score', round((d[5] * 65536::bigint + d[6]) % 1000000 / 10000.0, 4),
      'version', (1 + d[7] % 4) || '.' || d[8] % 20 || '.' || d[9] % 10 ||
        case d[10] % 20 when 0 then '-beta.' || d[10] % 7 when 1 then '-rc.1' else '' end,
      'email', 'user-' || n || '@' || (array['gmail.com', 'outlook.com', 'example.org', 'company-' || d[11] % 500 || '.com'])[1 + d[12] % 4],
      'signup_date', to_char(date '2020-01-01' + d[13] % 2200, 'YYYY-MM-DD'),
      'is_active', d[14] % 10 < 7,
      'wants_news', d[14] % 16 < 5,
      'company', case when d[15] % 3 = 0 then 'Company ' || d[11] % 500 end,
      'tags', case when d[16] % 4 = 0 then jsonb_build_array('t' || d[16] % 50, 't' || d[15] % 50) end
    ))
    from (
      select n, array(
        select ('x' || substr(md5('seed ' || n) || md5('another ' || n), 1 + 4 * (at - 1), 4))::bit(16)::int
        from generate_series(1, 16) at order by at
      ) as d
      from generate_series(${from}, ${to}) n offset 0
    ) as digits`
}
