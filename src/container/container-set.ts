/**
 * All containers, by ID, by unique prefix of an ID, and by name (Engine API: a container is named by any of the
 * three, in this order).
 */
import { ConflictError, InvalidParameterError, NotFoundError } from '../base/errors.ts';
import { Container } from './container.ts';
import type { ContainerRecord, RecordTable } from './record.ts';

export class ContainerSet {
  readonly #byId = new Map<string, Container>();
  readonly #byName = new Map<string, Container>();
  readonly #table: RecordTable;
  readonly #unreadable: ReadonlyMap<string, string>;

  /** Reads every stored container. */
  constructor(table: RecordTable) {
    this.#table = table;
    const { records, unreadable } = table.load();
    this.#unreadable = unreadable;
    for (const record of records) this.#insert(new Container(record, table));
  }

  /** True for a container whose record is broken: it is not served, and nothing of it may be swept away. */
  isUnreadable(id: string): boolean {
    return this.#unreadable.has(id);
  }

  /** Names of the containers whose record is broken, by ID. */
  unreadable(): ReadonlyMap<string, string> {
    return this.#unreadable;
  }

  /** Oldest first. */
  all(): Container[] {
    return [...this.#byId.values()];
  }

  nameTaken(name: string): boolean {
    return this.#byName.has(name) || [...this.#unreadable.values()].includes(name);
  }

  /** Throws Conflict where the name is in use. */
  requireFreeName(name: string): void {
    const [broken] = [...this.#unreadable].find(([, taken]) => taken === name) ?? [];
    const holder = this.#byName.get(name)?.id ?? broken;
    if (holder === undefined) return;
    throw new ConflictError(
      `Conflict. The container name "/${name}" is already in use by container "${holder}". You have to remove (or rename) that container to be able to reuse that name.`,
    );
  }

  /** Stores a new container. Throws Conflict where its name is in use. */
  add(record: ContainerRecord): Container {
    this.requireFreeName(record.name);
    const container = new Container(record, this.#table);
    container.save();
    this.#insert(container);
    return container;
  }

  /** Gives a container a free name and stores that. Throws Conflict where it is in use. */
  rename(container: Container, name: string): void {
    this.requireFreeName(name);
    const old = container.record.name;
    container.record.name = name;
    try {
      container.save();
    } catch (error) {
      container.record.name = old;
      throw error;
    }
    this.#byName.delete(old);
    this.#byName.set(name, container);
  }

  delete(container: Container): void {
    this.#table.remove(container.id);
    this.#byId.delete(container.id);
    this.#byName.delete(container.record.name);
  }

  find(reference: string): Container | undefined {
    const name = reference.replace(/^\//, '');
    const exact = this.#byId.get(name) ?? this.#byName.get(name) ?? this.#findLinked(name);
    if (exact !== undefined || !/^[0-9a-f]+$/.test(name)) return exact;
    const matches = this.all().filter((container) => container.id.startsWith(name));
    if (matches.length > 1) {
      throw new InvalidParameterError(`multiple IDs found with provided prefix: ${name}`);
    }
    return matches[0];
  }

  /** Throws NotFound with Docker's text. */
  get(reference: string): Container {
    const container = this.find(reference);
    if (container === undefined) throw new NotFoundError(`No such container: ${reference}`);
    return container;
  }

  /** `parent/alias`: the container that `parent` is linked to under that alias. */
  #findLinked(name: string): Container | undefined {
    const [parent = '', alias] = name.split('/');
    if (alias === undefined) return undefined;
    const link = this.#byName.get(parent)?.record.links.find((one) => one.alias === alias);
    return link === undefined ? undefined : this.#byId.get(link.containerId);
  }

  #insert(container: Container): void {
    this.#byId.set(container.id, container);
    this.#byName.set(container.record.name, container);
  }
}
