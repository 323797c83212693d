#!/bin/sh
# `all` in the line that the image writes does not include replication connections.
echo 'host replication replicator samenet scram-sha-256' >> "$PGDATA/pg_hba.conf"
