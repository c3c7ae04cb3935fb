/** A client copies files into its containers, and out of them. */
import assert from 'node:assert/strict';
import type { ContainerModel } from './container-model.ts';
import type { OwnContainers } from './own-containers.ts';
import { firstFile, tarOf } from './tar.ts';
import { onlyLost } from './unsteady-daemon.ts';

export class ContainerFiles {
  readonly #own: OwnContainers;

  constructor(own: OwnContainers) {
    this.#own = own;
  }

  async copyIn(model: ContainerModel): Promise<void> {
    await this.write(model, '/', model.files);
  }

  /** Puts a file into a directory of the container; `files` is what is known of that: paths to contents. */
  async write(model: ContainerModel, directory: string, files: Map<string, string>): Promise<void> {
    const { daemon, random } = this.#own;
    const name = `file-${random.below(4)}`;
    const content = `${model.name} ${random.below(1_000_000)}`;
    const path = `${directory}${directory.endsWith('/') ? '' : '/'}${name}`;
    const tar = tarOf({ [name]: content });
    try {
      await daemon.expect(200, 'PUT', `/containers/${model.id}/archive?path=${directory}`, tar);
      files.set(path, content);
    } catch (error) {
      onlyLost(error);
      const now = await this.read(model, path);
      assert.ok(
        [files.get(path), content, ''].includes(now),
        `${path} of ${model.name} after the daemon's death: ${now}`,
      );
      if (now === undefined) files.delete(path);
      else files.set(path, now);
    }
  }

  /** The content of a file; undefined where it is not there. */
  async read(model: ContainerModel, path: string): Promise<string | undefined> {
    const answer = await this.#own.daemon.read([200, 404], `/containers/${model.id}/archive?path=${path}`);
    return answer.status === 404 ? undefined : firstFile(answer.body);
  }

  async copyOut(model: ContainerModel): Promise<void> {
    const path = this.#own.random.pick(model.files.keys()) ?? '/not-there';
    assert.equal(await this.read(model, path), model.files.get(path), `${path} of ${model.name}`);
  }
}
