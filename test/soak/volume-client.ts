/** A client's operations on its volumes: the volumes as such, and what is in them, by archives, clones and snapshots. */
import assert from 'node:assert/strict';
import type { ContainerFiles } from './container-files.ts';
import type { ContainerModel } from './container-model.ts';
import type { OwnContainers } from './own-containers.ts';
import { filesOf, tarOf } from './tar.ts';
import { onlyLost } from './unsteady-daemon.ts';

/** Where containers have it. */
const MOUNT_POINT = '/volume';

/** Paths in containers to contents. */
type Files = ReadonlyMap<string, string>;

interface VolumeModel {
  files: Map<string, string>;
  readonly snapshots: Map<string, Files>;
}

export class VolumeClient {
  readonly #own: OwnContainers;
  readonly #containerFiles: ContainerFiles;
  readonly volumes = new Map<string, VolumeModel>();
  #count = 0;

  constructor(own: OwnContainers, containerFiles: ContainerFiles) {
    this.#own = own;
    this.#containerFiles = containerFiles;
  }

  #newName(): string {
    this.#count += 1;
    return `${this.#own.owner}-${this.#count}`;
  }

  #any(): [string, VolumeModel] | [] {
    return this.#own.random.pick(this.volumes) ?? [];
  }

  /** The name of one for a new container. */
  choose(): string | undefined {
    return this.#own.random.chance(30) ? this.#any()[0] : undefined;
  }

  async #isThere(name: string): Promise<boolean> {
    return (await this.#own.daemon.read([200, 404], `/volumes/${name}`)).status === 200;
  }

  #made(name: string, files: Files): void {
    this.volumes.set(name, { files: new Map(files), snapshots: new Map() });
  }

  async create(): Promise<void> {
    const { daemon, events, labels: Labels, random } = this.#own;
    const again = random.chance(20) ? this.#any()[0] : undefined;
    const Name = again ?? this.#newName();
    try {
      const answer = await daemon.expect(201, 'POST', '/volumes/create', { Name, Labels });
      assert.equal(answer.json<{ Name: string }>().Name, Name);
      if (again !== undefined) return;
      this.#made(Name, new Map());
      events.acknowledge('volume', 'create', Name);
    } catch (error) {
      onlyLost(error);
      if (again === undefined && (await this.#isThere(Name))) this.#made(Name, new Map());
    }
  }

  async remove(): Promise<void> {
    const { daemon, events, all, owner, random } = this.#own;
    const [name = `${owner}-none`, volume] = this.#any();
    const isUsed = [...all.values()].some((model) => model.volume === name);
    const hasSnapshots = (volume?.snapshots.size ?? 0) > 0;
    const force = random.chance(50);
    const status =
      volume === undefined ? (force ? 204 : 404) : isUsed || (hasSnapshots && !force) ? 409 : 204;
    try {
      await daemon.expect(status, 'DELETE', `/volumes/${name}?force=${force}`);
      if (status !== 204 || volume === undefined) return;
      this.volumes.delete(name);
      events.acknowledge('volume', 'destroy', name);
    } catch (error) {
      onlyLost(error);
      const isThere = await this.#isThere(name);
      if (status !== 204) assert.equal(isThere, volume !== undefined, name);
      else if (!isThere) this.volumes.delete(name);
    }
  }

  async list(): Promise<void> {
    const answer = await this.#own.daemon.expect(200, 'GET', `/volumes?filters=${this.#own.filters()}`);
    const { Volumes } = answer.json<{ Volumes: { Name: string }[] | null }>();
    assert.deepEqual((Volumes ?? []).map(({ Name }) => Name).sort(), [...this.volumes.keys()].sort());
  }

  /** Removes those that no container has, and that have no snapshots. */
  async prune(): Promise<void> {
    const { events, all } = this.#own;
    const used = new Set([...all.values()].map(({ volume }) => volume));
    const unused = [...this.volumes]
      .filter(([name, { snapshots }]) => !used.has(name) && snapshots.size === 0)
      .map(([name]) => name);
    try {
      const path = `/volumes/prune?filters=${this.#own.filters({ all: ['1'] })}`;
      const gone = await this.#own.prune(path, unused, (answer) => {
        return answer.json<{ VolumesDeleted: string[] | null }>().VolumesDeleted ?? [];
      });
      for (const name of gone) {
        this.volumes.delete(name);
        events.acknowledge('volume', 'destroy', name);
      }
    } catch (error) {
      onlyLost(error);
      for (const name of unused) if (!(await this.#isThere(name))) this.volumes.delete(name);
    }
  }

  /** Writes to it through a container that has it, and reads it through another one. */
  async writeThrough(model: ContainerModel): Promise<void> {
    const { all, random } = this.#own;
    const volume = this.volumes.get(model.volume ?? '');
    if (volume === undefined) return;
    await this.#containerFiles.write(model, MOUNT_POINT, volume.files);
    const reader = random.pick([...all.values()].filter((one) => one.volume === model.volume)) ?? model;
    const path = random.pick(volume.files.keys());
    if (path === undefined) return;
    assert.equal(
      await this.#containerFiles.read(reader, path),
      volume.files.get(path),
      `${path} of ${model.volume} in ${reader.name}`,
    );
  }

  /** What is in it; undefined where the export was cut off. */
  async #export(name: string): Promise<Files | undefined> {
    const { daemon } = this.#own;
    try {
      const { body } = await daemon.long(() => daemon.expect(200, 'POST', `/volumes/${name}/export`));
      return new Map([...filesOf(body)].map(([file, content]) => [`${MOUNT_POINT}/${file}`, content]));
    } catch (error) {
      onlyLost(error);
      return undefined;
    }
  }

  async verifyFiles(): Promise<void> {
    const [name, volume] = this.#any();
    if (name === undefined || volume === undefined) return;
    const files = await this.#export(name);
    if (files !== undefined) assertSame(files, volume.files, name);
  }

  /** Its content is one of these, first that which was before. */
  async #settle(name: string, volume: VolumeModel, outcomes: readonly Files[]): Promise<void> {
    let files: Files | undefined;
    while (files === undefined) files = await this.#export(name);
    const shown = text(files);
    const outcome = outcomes.find((candidate) => text(candidate) === shown);
    assert.ok(
      outcome !== undefined,
      `${name} after the daemon's end: ${shown} is none of ${outcomes.map(text).join(' ')}`,
    );
    volume.files = new Map(outcome);
  }

  async import(): Promise<void> {
    const { daemon, random } = this.#own;
    const [name, volume] = this.#any();
    if (name === undefined || volume === undefined) return;
    const file = `file-${random.below(4)}`;
    const content = `imported ${random.below(1_000_000)}`;
    const path = `${MOUNT_POINT}/${file}`;
    const after = new Map(volume.files).set(path, content);
    try {
      await daemon.long(() =>
        daemon.expect(200, 'POST', `/volumes/${name}/import?merge=1`, tarOf({ [file]: content })),
      );
      volume.files = after;
    } catch (error) {
      onlyLost(error);
      // What a merge has written by then stays: also half a file, or none in place of the old one.
      const without = new Map(volume.files);
      without.delete(path);
      await this.#settle(name, volume, [volume.files, after, without, new Map(volume.files).set(path, '')]);
    }
  }

  async clone(): Promise<void> {
    const { daemon, labels: Labels } = this.#own;
    const [from, volume] = this.#any();
    if (from === undefined || volume === undefined) return;
    const Name = this.#newName();
    try {
      await daemon.long(() => daemon.expect(201, 'POST', `/volumes/${from}/clone`, { Name, Labels }));
      this.#made(Name, volume.files);
    } catch (error) {
      onlyLost(error);
      if (await this.#isThere(Name)) this.#made(Name, volume.files);
    }
    if (!this.volumes.has(Name)) return;
    const files = await this.#export(Name);
    if (files !== undefined) assertSame(files, volume.files, `${Name}, a clone of ${from}`);
  }

  /** Takes a snapshot, or goes back to one, or removes one. */
  async snapshot(): Promise<void> {
    const { random } = this.#own;
    const [name, volume] = this.#any();
    if (name === undefined || volume === undefined) return;
    const [snapshot, files] = random.pick(volume.snapshots) ?? [];
    if (snapshot === undefined || files === undefined) await this.#takeSnapshot(name, volume);
    else if (random.chance(60)) await this.#restoreSnapshot(name, volume, snapshot, files);
    else await this.#removeSnapshot(name, volume, snapshot);
  }

  async #snapshots(name: string): Promise<string[]> {
    const answer = await this.#own.daemon.read(200, `/volumes/${name}/snapshots`);
    return answer.json<{ Name: string }[]>().map(({ Name }) => Name);
  }

  async #takeSnapshot(name: string, volume: VolumeModel): Promise<void> {
    const { daemon } = this.#own;
    const Name = `snapshot-${this.#newName()}`;
    try {
      await daemon.long(() => daemon.expect(201, 'POST', `/volumes/${name}/snapshots`, { Name }));
      volume.snapshots.set(Name, new Map(volume.files));
    } catch (error) {
      onlyLost(error);
      if ((await this.#snapshots(name)).includes(Name)) volume.snapshots.set(Name, new Map(volume.files));
    }
    assert.deepEqual(
      (await this.#snapshots(name)).toSorted(),
      [...volume.snapshots.keys()].sort(),
      `snapshots of ${name}`,
    );
  }

  async #restoreSnapshot(name: string, volume: VolumeModel, snapshot: string, files: Files): Promise<void> {
    const { daemon } = this.#own;
    const path = `/volumes/${name}/snapshots/${snapshot}/restore?force=1`;
    try {
      await daemon.long(() => daemon.expect(204, 'POST', path));
      volume.files = new Map(files);
    } catch (error) {
      onlyLost(error);
      await this.#settle(name, volume, [volume.files, files]);
    }
    await this.#settle(name, volume, [volume.files]);
  }

  async #removeSnapshot(name: string, volume: VolumeModel, snapshot: string): Promise<void> {
    const { daemon } = this.#own;
    try {
      await daemon.long(() => daemon.expect(204, 'DELETE', `/volumes/${name}/snapshots/${snapshot}`));
      volume.snapshots.delete(snapshot);
    } catch (error) {
      onlyLost(error);
      if (!(await this.#snapshots(name)).includes(snapshot)) volume.snapshots.delete(snapshot);
    }
  }
}

function text(files: Files): string {
  return JSON.stringify([...files].sort());
}

function assertSame(actual: Files, wanted: Files, what: string): void {
  assert.deepEqual([...actual].sort(), [...wanted].sort(), `files of ${what}`);
}
