import {
  type EntityDTO,
  type EntityKey,
  type EntityName,
  type Primary,
  type RequiredEntityData,
  wrap,
} from '@mikro-orm/core'
import type { Engine, SqlEm } from '../../src/index.ts'
import { type ArrangementNode, isFilter } from './filters.ts'
import type { CursorPage, OffsetPage } from './pages.ts'
import {
  type ConditionFor,
  type CursorRequest,
  type DataOf,
  type FilterFor,
  Repository,
  type RepositoryOptions,
} from './repository.ts'

/** A repository of the entity, whatever relations it brings along. */
interface AnyRepository<T extends object> extends Pick<Repository<T>, 'entity' | 'count' | 'exists'> {}

interface Matching<T> {
  readonly matchFields?: readonly EntityKey<T>[]
}

/**
 * What an application does with one entity: plain objects in, plain objects out, and a place for the rules between
 * them. Subclass it, and override a hook or add methods.
 *
 * @typeParam T the entity
 * @typeParam Item what {@link Service.toSchema} makes of one; default MikroORM's plain object of it
 *
 * @example
 * ```ts
 * class AuthorService extends Service<Author> {
 *   constructor(on: SqlEm | Engine) {
 *     super(Author, on)
 *   }
 *   override toModelOnCreate(data: RequiredEntityData<Author>) {
 *     return { ...data, slug: slugOf(data.name) }
 *   }
 * }
 * const authors = new AuthorService(request.db.writer)
 * await authors.create({ name: 'Ada' })
 * ```
 */
export class Service<T extends object, Item = EntityDTO<T>> {
  /** For what the service does not do. */
  readonly repository: Repository<T>

  /**
   * @param of the entity, or a repository that brings relations along
   * @param on a session (`request.db.writer`) or an engine; not with a repository
   */
  constructor(of: EntityName<T>, on: SqlEm | Engine, options?: RepositoryOptions)
  constructor(of: AnyRepository<T>)
  constructor(of: EntityName<T> | AnyRepository<T>, on?: SqlEm | Engine, options?: RepositoryOptions) {
    this.repository = (
      of instanceof Repository ? of : new Repository(of as EntityName<T>, on as SqlEm | Engine, options)
    ) as Repository<T>
  }

  /** Called with the data of each new row; what it returns is saved. Default: the data. */
  toModelOnCreate(data: RequiredEntityData<T>): RequiredEntityData<T> | Promise<RequiredEntityData<T>> {
    return data
  }

  /** Called with what changes about a row; what it returns is saved. Default: the data. */
  toModelOnUpdate(data: DataOf<T>): DataOf<T> | Promise<DataOf<T>> {
    return data
  }

  /** Called with the data of each row that is inserted or updated; what it returns is saved. Default: the data. */
  toModelOnUpsert(data: RequiredEntityData<T>): RequiredEntityData<T> | Promise<RequiredEntityData<T>> {
    return data
  }

  /** One entity as an answer shows it. Hidden properties stay hidden; relations are keys unless they were loaded. */
  toItem(entity: T): Item {
    return wrap(entity).toObject() as Item
  }

  /** See {@link Repository.add}. */
  async create(data: RequiredEntityData<T>): Promise<T> {
    return this.repository.add(await this.toModelOnCreate(data))
  }

  /** See {@link Repository.addMany}. */
  async createMany(data: readonly RequiredEntityData<T>[]): Promise<T[]> {
    return this.repository.addMany(await Promise.all(data.map(one => this.toModelOnCreate(one))))
  }

  /** See {@link Repository.get}. @throws SQLA_ERR_NOT_FOUND (404) */
  get(key: Primary<T>): Promise<T> {
    return this.repository.get(key)
  }

  /** See {@link Repository.getOne}. @throws SQLA_ERR_NOT_FOUND (404), SQLA_ERR_SEVERAL_FOUND */
  getOne(...filters: FilterFor<T>[]): Promise<T> {
    return this.repository.getOne(...filters)
  }

  /** See {@link Repository.getOneOrNull}. @throws SQLA_ERR_SEVERAL_FOUND */
  getOneOrNull(...filters: FilterFor<T>[]): Promise<T | null> {
    return this.repository.getOneOrNull(...filters)
  }

  /** See {@link Repository.getOrUpsert}; the data goes through {@link toModelOnUpsert}. */
  async getOrUpsert(
    data: RequiredEntityData<T>,
    options?: Matching<T> & { readonly update?: boolean },
  ): Promise<[entity: T, created: boolean]> {
    return this.repository.getOrUpsert(await this.toModelOnUpsert(data), options)
  }

  /** See {@link Repository.getAndUpdate}; the data goes through {@link toModelOnUpdate}. */
  async getAndUpdate(data: DataOf<T>, options?: Matching<T>): Promise<[entity: T, updated: boolean]> {
    return this.repository.getAndUpdate(await this.toModelOnUpdate(data), options)
  }

  /** See {@link Repository.list}. */
  list(...filters: FilterFor<T>[]): Promise<T[]> {
    return this.repository.list(...filters)
  }

  /** See {@link Repository.listAndCount}. */
  listAndCount(...filters: FilterFor<T>[]): Promise<[items: T[], total: number]> {
    return this.repository.listAndCount(...filters)
  }

  /** See {@link Repository.cursorPage}; the items have gone through {@link toItem}. */
  async cursorPage(page: CursorRequest<T>, ...conditions: ConditionFor<T>[]): Promise<CursorPage<Item>> {
    const { items, ...rest } = await this.repository.cursorPage(page, ...conditions)
    return { items: items.map(one => this.toItem(one)), ...rest }
  }

  /** See {@link Repository.count}. */
  count(...filters: FilterFor<T>[]): Promise<number> {
    return this.repository.count(...filters)
  }

  /** See {@link Repository.exists}. */
  exists(...filters: FilterFor<T>[]): Promise<boolean> {
    return this.repository.exists(...filters)
  }

  /** See {@link Repository.update}. @throws SQLA_ERR_NOT_FOUND (404) */
  async update(key: Primary<T>, data: DataOf<T>): Promise<T> {
    return this.repository.update(key, await this.toModelOnUpdate(data))
  }

  /** See {@link Repository.updateMany}. @throws SQLA_ERR_NOT_FOUND (404) */
  async updateMany(data: readonly DataOf<T>[]): Promise<T[]> {
    return this.repository.updateMany(await Promise.all(data.map(one => this.toModelOnUpdate(one))))
  }

  /** See {@link Repository.upsert}. */
  async upsert(data: RequiredEntityData<T>, options?: Matching<T>): Promise<T> {
    return this.repository.upsert(await this.toModelOnUpsert(data), options)
  }

  /** See {@link Repository.upsertMany}. */
  async upsertMany(data: readonly RequiredEntityData<T>[], options?: Matching<T>): Promise<T[]> {
    return this.repository.upsertMany(await Promise.all(data.map(one => this.toModelOnUpsert(one))), options)
  }

  /** See {@link Repository.delete}. @throws SQLA_ERR_NOT_FOUND (404) */
  delete(key: Primary<T>): Promise<T> {
    return this.repository.delete(key)
  }

  /** See {@link Repository.deleteMany}. */
  deleteMany(keys: readonly Primary<T>[]): Promise<number> {
    return this.repository.deleteMany(keys)
  }

  /** See {@link Repository.deleteWhere}. */
  deleteWhere(first: ConditionFor<T>, ...rest: ConditionFor<T>[]): Promise<number> {
    return this.repository.deleteWhere(first, ...rest)
  }

  /**
   * One entity as a plain object, or a list as a page of them.
   *
   * @param total how many rows there are on all pages; default the length of the list
   * @param filters those that the list was made with, of which the page says limit and offset
   *
   * @example
   * ```ts
   * const filters = [search('name', 'a'), limitOffset(20, 40)]
   * const [authors, total] = await service.listAndCount(...filters)
   * return service.toSchema(authors, total, filters) // { items: […], total: 61, limit: 20, offset: 40 }
   * ```
   */
  toSchema(result: T): Item
  toSchema(result: readonly T[], total?: number, filters?: readonly FilterFor<T>[]): OffsetPage<Item>
  toSchema(
    result: T | readonly T[],
    total?: number,
    filters: readonly FilterFor<T>[] = [],
  ): Item | OffsetPage<Item> {
    if (!Array.isArray(result)) return this.toItem(result as T)
    const page = filters.findLast(isPage)
    return {
      items: result.map(one => this.toItem(one)),
      total: total ?? result.length,
      limit: page?.limit ?? result.length,
      offset: page?.offset ?? 0,
    }
  }
}

function isPage(filter: object): filter is ArrangementNode & { kind: 'page' } {
  return isFilter(filter) && filter.kind === 'page'
}
