import { Migration } from '@mikro-orm/migrations'

/** first tables */
export class Migration20261121063628_first_tables extends Migration {
  override up(): void {
    this.addSql(`create table "audit_line" (
      "id" serial primary key,
      "at" timestamptz not null default now(),
      "action" varchar(255) not null,
      "target" varchar(500) not null,
      "status" int not null,
      "request_id" varchar(255) not null
    )`)
  }

  override down(): void {
    this.addSql(`drop table if exists "audit_line"`)
  }
}
