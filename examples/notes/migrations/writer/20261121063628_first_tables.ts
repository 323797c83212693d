import { Migration } from '@mikro-orm/migrations'

/** first tables */
export class Migration20261121063628_first_tables extends Migration {
  override up(): void {
    this.addSql(`create table "author" (
      "id" serial primary key,
      "name" varchar(80) not null,
      "created_at" timestamptz not null default now()
    )`)
    this.addSql(`alter table "author" add constraint "author_name_unique" unique ("name")`)
    this.addSql(`create table "note" (
      "id" serial primary key,
      "title" varchar(120) not null,
      "text" text not null default '',
      "created_at" timestamptz not null default now(),
      "author_id" int not null
    )`)
    this.addSql(`create index "note_author_id_index" on "note" ("author_id")`)
    this.addSql(
      `alter table "note" add constraint "note_author_id_foreign" foreign key ("author_id") references "author" ("id") on delete no action`,
    )
  }

  override down(): void {
    this.addSql(`alter table "note" drop constraint "note_author_id_foreign"`)
    this.addSql(`drop table if exists "author"`)
    this.addSql(`drop table if exists "note"`)
  }
}
