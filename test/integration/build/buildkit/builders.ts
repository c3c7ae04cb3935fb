/**
 * The two sides of the table: the daemon under test, asked over `POST /build` with folders in place, and a real
 * BuildKit, asked by `docker buildx build`.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, statSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import type { BuildkitPeer } from '../../../fixtures/buildkit-peer.ts';
import { makeTar } from '../../../fixtures/tar.ts';
import type { Daemon } from '../../harness.ts';
import { sendBytes } from '../../security/attack.ts';
import type { BuildCase, BuildFacts, ContextFiles } from './build-case.ts';
import { FactsReader } from './image-facts.ts';

export interface TableBuilder {
  /** Makes an image of the registry one to build upon, as `name`. */
  addBase(reference: string, name: string): Promise<void>;
  build(one: BuildCase): Promise<BuildFacts>;
}

interface Folders {
  main: string;
  named: Record<string, string>;
}

/** Without what is different in every build: names of snapshots, and what ours adds to tell more. */
function errorText(text: string): string {
  return text
    .replace(/^failed to compute cache key: /, '')
    .replace(/checksum of ref .*?: "/, 'checksum of ref …: "')
    .replace(/\/run\/buildkit-peer-[^ ]*\/merged\b/, '')
    .replace(' (file not found in build context or excluded by .dockerignore)', '');
}

/** Unpacked by the machine's tar, which knows owners, special files and attributes. */
async function unpack(files: ContextFiles, folder: string): Promise<void> {
  mkdirSync(folder);
  const tar = makeTar(
    Object.entries(files).map(([path, file]) => ({
      path,
      ...(path.endsWith('/') ? { type: 'directory' as const } : {}),
      ...(typeof file === 'string' ? { data: file } : file),
    })),
  );
  const args = ['-xp', '--numeric-owner', '--xattrs', '--xattrs-include=*', '-C', folder];
  const child = spawn('tar', args, { stdio: ['pipe', 'ignore', 'inherit'] });
  child.stdin.end(tar);
  const [code] = (await once(child, 'exit')) as [number | null];
  assert.equal(code, 0, `tar -x in ${folder}`);
}

async function withFolders<T>(one: BuildCase, body: (folders: Folders) => Promise<T>): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), 'context-'));
  try {
    // BuildKit takes folders of one name for one that has changed, as far as sizes and times say.
    const main = join(folder, basename(folder));
    await unpack(one.files ?? {}, main);
    writeFileSync(join(main, 'Dockerfile'), one.dockerfile);
    const named: Record<string, string> = {};
    for (const [name, files] of Object.entries(one.contexts ?? {})) {
      named[name] = join(folder, name);
      await unpack(files, named[name]);
    }
    return await body({ main, named });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const place = (path: string): { path: string; device: string; inode: string } => {
  const { dev, ino } = statSync(path, { bigint: true });
  return { path, device: String(dev), inode: String(ino) };
};

export class OwnBuilder implements TableBuilder {
  readonly #daemon: Daemon;
  readonly #facts = new FactsReader();

  constructor(daemon: Daemon) {
    this.#daemon = daemon;
  }

  async addBase(reference: string, name: string): Promise<void> {
    await this.#daemon.ok('pull', '-q', reference);
    await this.#daemon.ok('tag', reference, name);
    this.#facts.addBase(await this.#save(name));
  }

  async #save(name: string): Promise<Buffer> {
    const { status, body } = await sendBytes(this.#daemon, 'GET', `/images/${name}/get`);
    assert.equal(status, 200);
    return body;
  }

  async build(one: BuildCase): Promise<BuildFacts> {
    for (const [name, base] of Object.entries(one.bases ?? {})) {
      const { error } = await this.#build({ name, ...base }, name);
      assert.equal(error, '', `${name} of ${one.name}`);
    }
    const { id, error } = await this.#build(one);
    return id === '' ? { error: errorText(error) } : this.#facts.read(await this.#save(id));
  }

  async #build(one: BuildCase, tag = ''): Promise<{ id: string; error: string }> {
    return await withFolders(one, async ({ main, named }) => {
      const contexts = Object.entries(named).map(([name, path]) => [
        name,
        { kind: 'folder', ...place(path) },
      ]);
      const query = new URLSearchParams({
        progress: 'status',
        contextfolder: JSON.stringify(place(main)),
        buildargs: JSON.stringify(withoutNull(one.buildArgs)),
        labels: JSON.stringify(one.labels ?? {}),
        target: one.target ?? '',
        extrahosts: (one.extraHosts ?? []).join(','),
        t: tag,
        ...(contexts.length === 0 ? {} : { buildcontexts: JSON.stringify(Object.fromEntries(contexts)) }),
      });
      const { text } = await sendBytes(this.#daemon, 'POST', `/build?${query}`);
      let id = '';
      let error = '';
      for (const message of text.split('\n').filter((row) => row.trim() !== '')) {
        const { aux, ...rest } = JSON.parse(message) as {
          aux?: { ID?: string };
          error?: string;
          message?: string;
        };
        id ||= aux?.ID ?? '';
        error ||= rest.error ?? rest.message ?? '';
      }
      return { id, error };
    });
  }
}

/** The client leaves out arguments that it has no value for. */
function withoutNull(args: BuildCase['buildArgs']): Record<string, string> {
  return Object.fromEntries(
    Object.entries(args ?? {}).flatMap(([name, value]) => (value === null ? [] : [[name, value]])),
  );
}

export class PeerBuilder implements TableBuilder {
  readonly #peer: BuildkitPeer;
  #count = 0;
  readonly #facts = new FactsReader();

  constructor(peer: BuildkitPeer) {
    this.#peer = peer;
  }

  async addBase(reference: string, name: string): Promise<void> {
    for (const args of [
      ['pull', '-q', reference],
      ['tag', reference, name],
    ]) {
      const { code, stderr } = await this.#peer.docker(args);
      assert.equal(code, 0, stderr);
    }
    this.#facts.addBase(await this.#save(name));
  }

  async #save(name: string): Promise<Buffer> {
    return (await sendBytes(this.#peer, 'GET', `/images/${name}/get`)).body;
  }

  async build(one: BuildCase): Promise<BuildFacts> {
    for (const [name, base] of Object.entries(one.bases ?? {})) {
      const error = await this.#build({ name, ...base }, name);
      assert.equal(error, '', `${name} of ${one.name}`);
    }
    const tag = `built-${this.#count++}`;
    const error = await this.#build(one, tag);
    return error === '' ? this.#facts.read(await this.#save(tag)) : { error: errorText(error) };
  }

  async #build(one: BuildCase, tag: string): Promise<string> {
    return await withFolders(one, async ({ main, named }) => {
      const options = [
        ...Object.entries(one.buildArgs ?? {}).flatMap(([name, value]) => [
          '--build-arg',
          value === null ? name : `${name}=${value}`,
        ]),
        ...Object.entries(one.labels ?? {}).flatMap(([name, value]) => ['--label', `${name}=${value}`]),
        ...Object.entries(named).flatMap(([name, path]) => ['--build-context', `${name}=${path}`]),
        ...(one.extraHosts ?? []).flatMap((host) => ['--add-host', host]),
        ...(one.target === undefined ? [] : ['--target', one.target]),
      ];
      const args = ['buildx', 'build', '--progress', 'plain', '-t', tag, ...options, main];
      const { code, stderr } = await this.#peer.docker(args);
      if (code === 0) return '';
      const text = stderr.slice(stderr.lastIndexOf('\nERROR: ') + 1);
      return text.replace(/^ERROR: (?:failed to build: )?(?:failed to solve: )?/, '').trim();
    });
  }
}
