/** A client's operations on images, its own and those that others may have built as well, each compared with the model. */
import assert from 'node:assert/strict';
import type { ContainerModel } from './container-model.ts';
import type { OwnContainers } from './own-containers.ts';
import { tarOf } from './tar.ts';
import { onlyLost } from './unsteady-daemon.ts';

interface ImageModel {
  readonly id: string;
  readonly files: ReadonlyMap<string, string>;
  /** It bears the client's label, which no other client's images do. */
  readonly own: boolean;
}

export const BASE_IMAGE = 'busybox';

export class ImageClient {
  readonly #own: OwnContainers;
  /** By tag. */
  readonly images = new Map<string, ImageModel>();
  readonly #removed = new Map<string, string>();
  #count = 0;

  constructor(own: OwnContainers) {
    this.#own = own;
  }

  #newRepository(): string {
    this.#count += 1;
    return `${this.#own.owner}-${this.#count}`;
  }

  /** One to make a container of: its name, and the files that it brings. */
  choose(): { name: string; files: ReadonlyMap<string, string> } {
    const { random } = this.#own;
    const [name, image] = random.chance(40) ? (random.pick(this.images) ?? []) : [];
    if (name === undefined || image === undefined) return { name: BASE_IMAGE, files: new Map() };
    return { name, files: image.files };
  }

  /** The ID under a tag; undefined where nothing is. */
  async #there(tag: string): Promise<string | undefined> {
    const answer = await this.#own.daemon.read([200, 404], `/images/${tag}/json`);
    return answer.status === 404 ? undefined : answer.json<{ Id: string }>().Id;
  }

  async commit(model: ContainerModel): Promise<void> {
    const { daemon, events } = this.#own;
    const repository = this.#newRepository();
    const tag = `${repository}:latest`;
    const make = (id: string): void => {
      this.images.set(tag, { id, files: new Map(model.files), own: true });
    };
    try {
      const path = `/commit?container=${model.id}&repo=${repository}&tag=latest`;
      const answer = await daemon.long(() => daemon.expect(201, 'POST', path, {}));
      make(answer.json<{ Id: string }>().Id);
      events.acknowledge('container', 'commit', model.id);
    } catch (error) {
      onlyLost(error);
      const id = await this.#there(tag);
      if (id !== undefined) make(id);
    }
    await this.#own.verify(model);
  }

  async build(): Promise<void> {
    const { daemon, owner, random } = this.#own;
    const tag = `${this.#newRepository()}:latest`;
    const content = `built ${random.below(1000)}`;
    const run = random.chance(40) ? `RUN echo -n '${content}' > /ran\n` : '';
    // Without the label, others may build the same image at the same time.
    const own = random.chance(30);
    const label = own ? `LABEL soak=${owner}\n` : '';
    const Dockerfile = `FROM ${BASE_IMAGE}\nCOPY file /copied\n${run}${label}`;
    const files = new Map([['/copied', content], ...(run === '' ? [] : ([['/ran', content]] as const))]);
    const context = tarOf({ Dockerfile, file: content });
    let isDone = false;
    try {
      await daemon.long(async () => {
        const answer = await daemon.expect(200, 'POST', `/build?t=${tag}`, context);
        assert.match(answer.text, /Successfully tagged/, `build of ${tag}: ${answer.text.slice(-1000)}`);
      });
      isDone = true;
    } catch (error) {
      onlyLost(error);
    }
    const id = await this.#there(tag);
    assert.ok(id !== undefined || !isDone, `${tag} is there`);
    if (id !== undefined) this.images.set(tag, { id, files, own });
  }

  async tag(): Promise<void> {
    const { daemon, events, random } = this.#own;
    const [from, image] = random.pick(this.images) ?? [];
    if (from === undefined || image === undefined) return;
    const repository = this.#newRepository();
    const tag = `${repository}:latest`;
    try {
      await daemon.expect(201, 'POST', `/images/${from}/tag?repo=${repository}&tag=latest`);
      this.images.set(tag, image);
      events.acknowledge('image', 'tag', image.id);
    } catch (error) {
      onlyLost(error);
      if ((await this.#there(tag)) !== undefined) this.images.set(tag, image);
    }
  }

  async remove(): Promise<void> {
    const [tag, image] = this.#own.random.pick(this.images) ?? [];
    if (tag === undefined || image === undefined) return;
    const isLast = [...this.images.values()].filter(({ id }) => id === image.id).length === 1;
    const users = [...this.#own.all.values()].filter((one) => this.#imageOf(one) === image.id);
    // Others may have built the same image: it then has more names than this client knows, or their containers.
    const statuses = isLast && (users.length > 0 || !image.own) ? [200, 409] : [200];
    try {
      const answer = await this.#own.daemon.expect(statuses, 'DELETE', `/images/${tag}`);
      if (answer.status === 200) this.#forget(tag, image);
    } catch (error) {
      onlyLost(error);
      if ((await this.#there(tag)) === undefined) this.#forget(tag, image);
    }
  }

  #forget(tag: string, image: ImageModel): void {
    this.images.delete(tag);
    this.#removed.set(tag, image.id);
    this.#own.events.acknowledge('image', 'untag', image.id);
  }

  #imageOf(model: ContainerModel): string | undefined {
    return this.images.get(model.image)?.id ?? this.#removed.get(model.image);
  }

  /** Saves one to an archive and loads that again, under the same name: nothing has changed. */
  async saveAndLoad(): Promise<void> {
    const { daemon } = this.#own;
    const [tag, image] = this.#own.random.pick(this.images) ?? [];
    if (tag === undefined || image === undefined) return;
    try {
      await daemon.long(async () => {
        const { body } = await daemon.expect(200, 'GET', `/images/${tag}/get`);
        const loaded = await daemon.expect(200, 'POST', '/images/load', body);
        assert.match(loaded.text, new RegExp(`Loaded image: ${tag}`), `load of ${tag}: ${loaded.text}`);
      });
    } catch (error) {
      onlyLost(error);
    }
    assert.equal(await this.#there(tag), image.id, `${tag} after it was saved and loaded`);
  }

  /** Removes those with the client's label that no container was made of, under all their names. */
  async prune(): Promise<void> {
    const used = new Set([...this.#own.all.values()].map((container) => this.#imageOf(container)));
    const unused = [...this.images].filter(([, { id, own }]) => own && !used.has(id));
    try {
      const path = `/images/prune?filters=${this.#own.filters({ dangling: ['0'] })}`;
      const tags = unused.map(([tag]) => tag);
      const gone = await this.#own.prune(path, tags, (answer) => {
        const { ImagesDeleted } = answer.json<{ ImagesDeleted: { Untagged?: string }[] | null }>();
        return (ImagesDeleted ?? []).flatMap(({ Untagged }) => Untagged ?? []);
      });
      for (const [tag, image] of unused) if (gone.includes(tag)) this.#forget(tag, image);
    } catch (error) {
      onlyLost(error);
      for (const [tag, image] of unused) {
        if ((await this.#there(tag)) === undefined) this.#forget(tag, image);
      }
    }
  }

  /** What builds have kept, everybody's: images need nothing of it. */
  async pruneBuilds(): Promise<void> {
    try {
      await this.#own.daemon.expect([200, 409], 'POST', '/build/prune?all=1');
    } catch (error) {
      onlyLost(error);
    }
  }

  async verify(): Promise<void> {
    const [tag, image] = this.#own.random.pick(this.images) ?? [];
    if (tag === undefined) return;
    assert.equal(await this.#there(tag), image?.id, tag);
  }
}
