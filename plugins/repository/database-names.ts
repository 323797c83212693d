import {
  type Configuration,
  type EntityMetadata,
  type EntityProperty,
  type MetadataStorage,
  ReferenceKind,
} from '@mikro-orm/core'
import {
  type AbstractSqlPlatform,
  type CheckDef,
  DatabaseSchema,
  type DatabaseTable,
  type ForeignKey,
} from '@mikro-orm/sql'

/** Where the metadata of the entities is: an EntityManager (a session is one) or a MikroORM instance. */
export interface MetadataSource {
  getMetadata(): MetadataStorage
  readonly config: Configuration
}

/** What an application calls what the database calls by the names of columns. */
export interface Names {
  readonly entity: string
  /** Properties; those of an embeddable with their path (`home.city`). */
  readonly fields: readonly string[]
}

/**
 * A table of an entity, or the pivot table of a relation, with the constraints that MikroORM gives it: the names are
 * those of the naming strategy, as the schema generator writes them.
 */
export class NamedTable {
  readonly name: string
  /** Several with single-table inheritance, the root first. */
  readonly entities: readonly EntityMetadata[]
  /** The relation that a pivot table holds. */
  readonly relation: Names | undefined
  readonly #table: DatabaseTable

  constructor(table: DatabaseTable, entities: readonly EntityMetadata[], relation: Names | undefined) {
    this.name = table.name
    this.entities = entities
    this.relation = relation
    this.#table = table
  }

  get entity(): string {
    return this.relation?.entity ?? (this.entities[0] as EntityMetadata).className
  }

  /** By its name, or by its text, which is the name that SQLite gives to a check without one. */
  check(name: string): CheckDef | undefined {
    const checks = this.#table.getChecks()
    return checks.find(check => check.name === name) ?? checks.find(check => check.expression === name)
  }

  foreignKey(name: string): ForeignKey | undefined {
    return Object.values(this.#table.getForeignKeys()).find(key => key.constraintName === name)
  }

  /** Whether a unique constraint, a check or a foreign key of that name is known. */
  has(constraint: string): boolean {
    return (
      this.#table.hasIndex(constraint) ||
      this.check(constraint) !== undefined ||
      this.foreignKey(constraint) !== undefined
    )
  }

  hasColumn(column: string): boolean {
    return this.#table.hasColumn(column)
  }

  /** The columns of a unique constraint or index, or of the primary key. */
  uniqueColumns(constraint: string): readonly string[] | undefined {
    const isPrimary = constraint === 'PRIMARY' || constraint === `${this.name}_pkey`
    const index = isPrimary ? this.#table.getPrimaryKey() : this.#table.getIndex(constraint)
    return index === undefined || index.columnNames.length === 0 ? undefined : index.columnNames
  }

  /**
   * @returns undefined when one of the columns belongs to no property: half of the truth is none
   */
  namesOf(columns: readonly string[]): Names | undefined {
    if (columns.length === 0 || !columns.every(column => this.hasColumn(column))) return undefined
    const [root] = this.entities as [EntityMetadata]
    const inRoot = propertiesOf(root, columns, prop => prop.inherited !== true)
    if (inRoot !== undefined) return named(root, inRoot)
    for (const meta of this.entities) {
      const props = meta === root ? undefined : propertiesOf(meta, columns)
      if (props !== undefined) return named(meta, props)
    }
    return undefined
  }

  /** What a foreign key refers to. */
  targetOf(columns: readonly string[]): EntityMetadata | undefined {
    for (const meta of this.entities) {
      const prop = relationOn(meta, columns)
      if (prop !== undefined) return prop.targetMeta
    }
    return undefined
  }
}

/** The tables of all entities, by the names that the database has for them. */
export class DatabaseNames {
  readonly tables: readonly NamedTable[]
  /** What MikroORM has not said belongs here. */
  readonly #defaultSchema: string | undefined
  readonly #metadata: MetadataStorage

  constructor(source: MetadataSource) {
    const { config } = source
    const platform = config.getPlatform() as AbstractSqlPlatform
    this.#metadata = source.getMetadata()
    this.#defaultSchema =
      config.get('schema') ?? platform.getDefaultSchemaName() ?? (config.get('dbName') as string | undefined)
    const entities = [...this.#metadata].filter(
      meta => !meta.embeddable && !meta.virtual && meta.view === undefined,
    )
    // A child of single-table inheritance has no table; its root knows all columns.
    const owners = entities.filter(meta => meta.root === meta || meta.inheritanceType === 'tpt')
    this.tables = owners.flatMap(owner => {
      const children = entities.filter(meta => !owners.includes(meta) && meta.root === owner)
      const relation = relationThrough(owner, entities)
      return DatabaseSchema.fromMetadata([owner], platform, config)
        .getTables()
        .map(table => new NamedTable(table, [owner, ...children], relation))
    })
  }

  /**
   * @param schema as the database names it; without one, a name that two schemas have is nobody's
   */
  table(name: string | undefined, schema: string | undefined): NamedTable | undefined {
    const found = this.tables.filter(
      table => table.name === name && (schema === undefined || this.#isIn(table, schema)),
    )
    return found.length === 1 ? found[0] : undefined
  }

  /** The table that has a constraint of this name, if only one has. */
  tableWith(constraint: string): NamedTable | undefined {
    const found = this.tables.filter(table => table.has(constraint))
    return found.length === 1 ? found[0] : undefined
  }

  /** The entity and the property with these names, if there are such. */
  property(entity: string, property: string): Names | undefined {
    const meta = this.#metadata.getByClassName(entity, false)
    const prop = meta?.properties[property]
    return meta === undefined || prop === undefined
      ? undefined
      : { entity: meta.className, fields: [pathOf(meta, prop)] }
  }

  hasEntity(name: string): boolean {
    return this.#metadata.getByClassName(name, false) !== undefined
  }

  #isIn(table: NamedTable, schema: string): boolean {
    const own = (table.entities[0] as EntityMetadata).schema
    return own === '*' || (own ?? this.#defaultSchema) === schema
  }
}

interface Known {
  readonly size: number
  readonly names: DatabaseNames | undefined
}

const known = new WeakMap<MetadataStorage, Known>()

/**
 * Built with the first error; again when entities have been added.
 *
 * @returns undefined for entities that MikroORM cannot make a schema of
 */
export function databaseNames(source: MetadataSource): DatabaseNames | undefined {
  const metadata = source.getMetadata()
  const { size } = metadata.getAll()
  const before = known.get(metadata)
  if (before?.size === size) return before.names
  let names: DatabaseNames | undefined
  try {
    names = new DatabaseNames(source)
  } catch {
    // Whoever asks has an error in hand already, which must not be lost to one about its description.
  }
  known.set(metadata, { size, names })
  return names
}

/** Which relation a pivot table holds, said from its owner's side. */
function relationThrough(pivot: EntityMetadata, entities: readonly EntityMetadata[]): Names | undefined {
  if (pivot.pivotTable !== true) return undefined
  for (const meta of entities) {
    const prop = meta.relations.find(
      candidate =>
        candidate.kind === ReferenceKind.MANY_TO_MANY &&
        candidate.owner &&
        candidate.pivotEntity === pivot.class,
    )
    if (prop !== undefined) return { entity: meta.className, fields: [prop.name] }
  }
  return undefined
}

type Property = EntityProperty

function named(meta: EntityMetadata, props: readonly Property[]): Names {
  return { entity: meta.className, fields: [...new Set(props.map(prop => pathOf(meta, prop)))] }
}

function relationOn(meta: EntityMetadata, columns: readonly string[]): Property | undefined {
  return storedProps(meta).find(prop => prop.targetMeta !== undefined && sameNames(prop.fieldNames, columns))
}

/** The relation on exactly these columns, or the properties that each of them is part of. */
function propertiesOf(
  meta: EntityMetadata,
  columns: readonly string[],
  belongs: (prop: Property) => boolean = () => true,
): Property[] | undefined {
  const relation = relationOn(meta, columns)
  if (relation !== undefined && belongs(relation)) return [relation]
  const props = columns.map(column => {
    const owners = storedProps(meta).filter(prop => belongs(prop) && prop.fieldNames.includes(column))
    return owners.find(prop => prop.fieldNames.length === 1) ?? owners[0]
  })
  return props.includes(undefined) ? undefined : (props as Property[])
}

function storedProps(meta: EntityMetadata): Property[] {
  return meta.props.filter(prop => prop.persist !== false && prop.fieldNames !== undefined)
}

function sameNames(some: readonly string[], others: readonly string[]): boolean {
  return some.length === others.length && some.every(name => others.includes(name))
}

function pathOf(meta: EntityMetadata, prop: Property): string {
  if (prop.embeddedPath !== undefined) return prop.embeddedPath.join('.')
  if (prop.embedded === undefined) return prop.name
  const [parent, child] = prop.embedded
  const owner = meta.properties[parent as string]
  return owner === undefined ? child : `${pathOf(meta, owner)}.${child}`
}
