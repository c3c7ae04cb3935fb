/**
 * A lock file in use by one build: what names are pinned to, what the build found, and the text that the file should
 * have afterwards. `frozen` refuses whatever would change that text, before anything is fetched where that can be known.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { displayName } from '../solve/base-images.ts';
import type { BuildMaterial } from '../solve/solved.ts';
import type { LockRequest } from '../solve-request.ts';
import { withoutCredentials } from '../source/git-url.ts';
import { entryKey, formatEntry, formatLock, type LockEntry, parseLock } from './lock-file.ts';

export class BuildLock {
  readonly #mode: LockRequest['mode'];
  readonly #entries = new Map<string, LockEntry>();

  /** Throws InvalidParameter, naming line and value, for a file that is none. */
  constructor({ mode, content }: LockRequest) {
    this.#mode = mode;
    if (mode === 'off') return;
    for (const entry of parseLock(content)) this.#entries.set(entryKey(entry), entry);
  }

  get isOn(): boolean {
    return this.#mode !== 'off';
  }

  /**
   * What a name is locked to; undefined where that is to be found out. With `frozen`, throws InvalidParameter for a name
   * that is not locked. `kinds`: what the name may be locked as.
   */
  pin(
    kinds: readonly BuildMaterial['kind'][],
    name: string,
    platform?: string,
  ): Pick<LockEntry, 'kind' | 'pin' | 'line'> | undefined {
    if (!this.isOn) return undefined;
    for (const kind of kinds) {
      const locked = lockName(kind, name);
      if (isPinned(kind, locked)) return undefined;
      const entry = this.#entry({ kind, name: locked, ...(platform === undefined ? {} : { platform }) });
      if (entry !== undefined) return entry;
    }
    if (this.#mode === 'frozen') {
      const [kind = 'image'] = kinds;
      const wanted = formatEntry({ kind, name: lockName(kind, name), pin: '…' });
      throw new InvalidParameterError(
        `Dockerfile.lock would have to change: add "${wanted}": run the build with --lock to write it`,
      );
    }
    return undefined;
  }

  /**
   * The file's text after a build that used `materials`; undefined without a lock. `complete`: the build went through
   * all stages, so that what it did not use is no longer used. Throws InvalidParameter where a material is not what its
   * name is locked to, and with `frozen` where the text would change.
   */
  text(materials: readonly BuildMaterial[], complete: boolean): string | undefined {
    if (!this.isOn) return undefined;
    const found = materials.map((one) => ({ ...one, name: lockName(one.kind, one.name) }));
    for (const material of found) this.#check(material);
    const next = new Map(this.#used(found).map((entry) => [entryKey(entry), entry]));
    const names = new Set(found.map(({ kind, name }) => `${kind} ${name}`));
    for (const [key, entry] of this.#entries) {
      const { kind, name, pin } = entry;
      const isUsed = names.has(`${kind} ${name}`);
      // Lines of other platforms than this build's stay, as far as one line for all does not say the same.
      const kept = isUsed ? next.get(entryKey({ kind, name }))?.pin !== pin : !complete;
      if (kept) next.set(key, entry);
    }
    if (this.#mode === 'frozen') this.#refuseChange(next);
    return formatLock([...next.values()]);
  }

  /** The lines of what was used: those that are there, else one for all platforms where they agree. */
  #used(materials: readonly BuildMaterial[]): BuildMaterial[] {
    const groups = Map.groupBy(
      materials.filter(({ kind, name }) => !isPinned(kind, name)),
      ({ kind, name }) => `${kind} ${name}`,
    );
    return [...groups.values()].flatMap((group) => {
      const lines = group.map((one) => this.#entry(one));
      const known = lines.filter((entry) => entry !== undefined);
      if (known.length === group.length) return known;
      const [first] = group;
      if (first === undefined || group.some(({ pin }) => pin !== first.pin)) return group;
      const { kind, name, pin } = first;
      return [{ kind, name, pin }];
    });
  }

  #entry({ kind, name, platform }: Omit<BuildMaterial, 'pin'>): LockEntry | undefined {
    const exact = platform === undefined ? undefined : this.#entries.get(entryKey({ kind, name, platform }));
    return exact ?? this.#entries.get(entryKey({ kind, name }));
  }

  /** What Dockerfile and file say may contradict each other (`ADD --checksum`). */
  #check(material: BuildMaterial): void {
    const entry = this.#entry(material);
    if (entry === undefined || entry.pin === material.pin) return;
    throw new InvalidParameterError(
      `Dockerfile.lock line ${entry.line}: ${entry.name} is locked to ${entry.pin}, and the build used ${material.pin}`,
    );
  }

  #refuseChange(next: ReadonlyMap<string, BuildMaterial>): void {
    const changes = [
      ...[...next].flatMap(([key, entry]) => (this.#entries.has(key) ? [] : [`add "${formatEntry(entry)}"`])),
      ...[...this.#entries].flatMap(([key, entry]) =>
        next.has(key) ? [] : [`remove line ${entry.line} "${formatEntry(entry)}"`],
      ),
    ];
    if (changes.length === 0) return;
    throw new InvalidParameterError(
      `Dockerfile.lock would have to change: ${changes.join(', ')}: run the build with --lock to write it`,
    );
  }
}

/** Names of images in full, addresses without what may be a secret. */
function lockName(kind: BuildMaterial['kind'], name: string): string {
  return kind === 'image' || kind === 'local' ? displayName(name) : withoutCredentials(name);
}

/** A name that says its digest needs no line. */
function isPinned(kind: BuildMaterial['kind'], name: string): boolean {
  return kind === 'image' && name.includes('@');
}
