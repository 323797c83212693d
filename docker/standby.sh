#!/bin/sh
# Starts PostgreSQL as a streaming standby. The first start copies the primary, beside the final place: an
# interrupted copy must not look like a finished one.
set -eu

if [ ! -e "$PGDATA/PG_VERSION" ]; then
  rm -rf "$PGDATA" "$PGDATA.part"
  mkdir -p "$(dirname "$PGDATA")"
  pg_basebackup --pgdata="$PGDATA.part" --write-recovery-conf --slot=standby --checkpoint=fast \
    --dbname="$PRIMARY"
  mv "$PGDATA.part" "$PGDATA"
fi

exec postgres "$@"
