/**
 * Images: pulled, pushed, loaded, imported, saved, named and removed. Every run has content of its own, so that nothing
 * is there already, here or in the registry.
 */
import { randomBytes } from 'node:crypto';
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  digestOf,
  HOST_PLATFORM,
  type Image,
  makeImage,
  makeIndex,
  makeLayer,
  OTHER_PLATFORM,
} from '../../fixtures/image.ts';
import { makeTar } from '../../fixtures/tar.ts';
import type { FaultedDaemon } from '../faulted-daemon.ts';
import { require, type Scenario } from '../scenario.ts';
import { exists, removeAll } from './objects.ts';

/** Clients send it with every push. */
const ANONYMOUS = { headers: { 'x-registry-auth': Buffer.from('{}').toString('base64') } };

/** Makes contents differ. */
let run = 0;

/** Takes as much room compressed. */
const tarOf = (name: string): Buffer =>
  makeTar([
    { path: `${name}/`, type: 'directory' },
    { path: `${name}/file`, data: randomBytes(150_000) },
    { path: `${name}/link`, type: 'symlink', target: 'file' },
  ]);

/** One of two layers of random bytes. */
export function imageOfNoise(platform = HOST_PLATFORM): Image {
  const layers = [
    makeLayer(tarOf(`first-${platform.architecture}`), 'gzip'),
    makeLayer(tarOf(`second-${platform.architecture}`), 'zstd'),
  ];
  return makeImage({ format: 'oci', layers, platform, config: { Cmd: ['/none'] } });
}

interface Described {
  Id: string;
  Architecture: string;
  RootFS: { Layers: string[] };
}

async function describe(daemon: FaultedDaemon, name: string): Promise<Described> {
  return (await daemon.ask('GET', `/images/${encodeURIComponent(name)}/json`)).json<Described>();
}

const isThere = (daemon: FaultedDaemon, name: string): Promise<boolean> =>
  exists(daemon, `/images/${encodeURIComponent(name)}/json`);

/** All files of an image can be read: an archive of it is as long as its layers. */
async function isWhole(daemon: FaultedDaemon, name: string): Promise<void> {
  const path = join(daemon.folder, 'whole.tar');
  await daemon.mydock('image', 'save', '-o', path, name);
  const { size } = statSync(path);
  rmSync(path);
  require(size > 100_000, `${name} is saved as ${size} bytes`);
}

async function pull(daemon: FaultedDaemon, name: string, query = ''): Promise<void> {
  await daemon.ask('POST', `/images/create?fromImage=${encodeURIComponent(name)}${query}`);
}

async function load(daemon: FaultedDaemon, archive: Buffer): Promise<void> {
  await daemon.ask('POST', '/images/load?quiet=1', {
    body: archive,
    headers: { 'content-type': 'application/x-tar' },
  });
}

/** As `docker save` before 25 writes it, under each of the names. */
function dockerArchive(names: readonly string[]): { id: string; archive: Buffer } {
  const tars = [tarOf('first'), tarOf('second')];
  const config = Buffer.from(
    JSON.stringify({
      ...HOST_PLATFORM,
      config: { Cmd: ['/none'] },
      rootfs: { type: 'layers', diff_ids: tars.map((tar) => digestOf(tar)) },
    }),
  );
  const id = digestOf(config);
  const Config = `${id.slice(7)}.json`;
  const Layers = tars.map((_, index) => `${index}/layer.tar`);
  const archive = makeTar([
    ...tars.map((data, index) => ({ path: `${index}/layer.tar`, data })),
    { path: Config, data: config },
    { path: 'manifest.json', data: JSON.stringify([{ Config, RepoTags: names, Layers }]) },
  ]);
  return { id, archive };
}

function ociArchive(name: string): { id: string; archive: Buffer } {
  const { id, manifest, blobs } = imageOfNoise();
  const path = (digest: string): string => `blobs/${digest.replace(':', '/')}`;
  const archive = makeTar([
    { path: 'oci-layout', data: '{"imageLayoutVersion":"1.0.0"}' },
    {
      path: 'index.json',
      data: JSON.stringify({
        schemaVersion: 2,
        manifests: [
          {
            mediaType: manifest.mediaType,
            digest: manifest.digest,
            size: manifest.data.length,
            annotations: {
              'io.containerd.image.name': `docker.io/library/${name}`,
              'org.opencontainers.image.ref.name': 'latest',
            },
          },
        ],
      }),
    },
    ...[manifest, ...blobs].map(({ digest, data }) => ({ path: path(digest), data })),
  ]);
  return { id, archive };
}

/** What an operation is about; a scenario is under way once at a time. */
let name = '';
let id = '';
let archive: Buffer = Buffer.alloc(0);

async function prepareInRegistry(daemon: FaultedDaemon): Promise<void> {
  run += 1;
  const pushed = imageOfNoise();
  name = await daemon.registry.push(`x${run}`, 'latest', pushed);
  id = pushed.id;
}

async function prepareLoaded(daemon: FaultedDaemon, names: readonly string[]): Promise<void> {
  run += 1;
  const made = dockerArchive(names);
  ({ id } = made);
  await load(daemon, made.archive);
}

const namesIt = (other = ''): Required<Pick<Scenario, 'holds'>> => ({
  async holds(daemon) {
    const found = await describe(daemon, other === '' ? name : other);
    require(found.Id === id, `${name} is ${found.Id} and not ${id}`);
    await isWhole(daemon, id);
  },
});

/** Where the name says something, it says the whole image. */
const isWholeOrAbsent: Required<Pick<Scenario, 'keeps'>> = {
  async keeps(daemon) {
    if (await isThere(daemon, name)) await isWhole(daemon, name);
  },
};

async function clean(daemon: FaultedDaemon): Promise<void> {
  await removeAll(daemon);
  rmSync(join(daemon.folder, 'saved.tar'), { force: true });
}

const pulls: readonly Scenario[] = [
  {
    name: 'pull',
    registry: true,
    layers: true,
    prepare: prepareInRegistry,
    operate: (daemon) => pull(daemon, name),
    ...isWholeOrAbsent,
    ...namesIt(),
    cleanUp: clean,
  },
  {
    name: 'pull by digest',
    registry: true,
    async prepare(daemon) {
      run += 1;
      const pushed = imageOfNoise();
      await daemon.registry.push(`x${run}`, 'latest', pushed);
      name = `${daemon.registry.host}/x${run}@${pushed.manifest.digest}`;
      ({ id } = pushed);
    },
    operate: (daemon) => pull(daemon, name),
    ...isWholeOrAbsent,
    ...namesIt(),
    cleanUp: clean,
  },
  {
    name: 'pull of another platform',
    registry: true,
    async prepare(daemon) {
      run += 1;
      const other = imageOfNoise(OTHER_PLATFORM);
      name = await daemon.registry.push(`x${run}`, 'latest', makeIndex([imageOfNoise(), other], 'oci'));
      ({ id } = other);
    },
    operate: (daemon) => pull(daemon, name, `&platform=linux/${OTHER_PLATFORM.architecture}`),
    ...isWholeOrAbsent,
    ...namesIt(),
    cleanUp: clean,
  },
  {
    name: 'pull of a newer one',
    registry: true,
    async prepare(daemon) {
      await prepareInRegistry(daemon);
      await pull(daemon, name);
      const repository = `x${run}`;
      run += 1;
      const newer = imageOfNoise();
      await daemon.registry.push(repository, 'latest', newer);
      ({ id } = newer);
    },
    operate: (daemon) => pull(daemon, name),
    keeps: (daemon) => isWhole(daemon, name),
    ...namesIt(),
    cleanUp: clean,
  },
];

export const imageScenarios: readonly Scenario[] = [
  ...pulls,
  {
    name: 'push',
    registry: true,
    layers: true,
    async prepare(daemon) {
      name = `${daemon.registry.host}/x${run + 1}:latest`;
      await prepareLoaded(daemon, [name]);
    },
    operate: (daemon) => daemon.ask('POST', `/images/${encodeURIComponent(name)}/push`, ANONYMOUS),
    keeps: (daemon) => isWhole(daemon, name),
    async holds(daemon) {
      await daemon.ask('DELETE', `/images/${encodeURIComponent(name)}`);
      await pull(daemon, name);
      await isWhole(daemon, name);
    },
    cleanUp: clean,
  },
  {
    name: "load of Docker's archive",
    layers: true,
    async prepare() {
      run += 1;
      name = 'xone:latest';
      ({ id, archive } = dockerArchive(['xone:latest', 'xtwo:latest']));
    },
    operate: (daemon) => load(daemon, archive),
    ...isWholeOrAbsent,
    ...namesIt(),
    cleanUp: clean,
  },
  {
    name: 'load of an OCI archive',
    async prepare() {
      run += 1;
      name = 'xone:latest';
      ({ id, archive } = ociArchive(name));
    },
    operate: (daemon) => load(daemon, archive),
    ...isWholeOrAbsent,
    ...namesIt(),
    cleanUp: clean,
  },
  {
    name: 'import',
    layers: true,
    async prepare() {
      run += 1;
      name = 'xone:latest';
      archive = tarOf('imported');
    },
    async operate(daemon, again) {
      // Another one takes the name from it.
      if (again && (await isThere(daemon, 'xone'))) return;
      await daemon.ask('POST', '/images/create?fromSrc=-&repo=xone&tag=latest', {
        body: archive,
        headers: { 'content-type': 'application/x-tar' },
      });
    },
    ...isWholeOrAbsent,
    holds: (daemon) => isWhole(daemon, 'xone'),
    cleanUp: clean,
  },
  {
    name: 'save',
    async prepare(daemon) {
      name = 'xone:latest';
      await prepareLoaded(daemon, [name]);
    },
    operate: (daemon) =>
      daemon.mydock('image', 'save', '-o', join(daemon.folder, 'saved.tar'), 'xone', 'busybox'),
    keeps: (daemon) => isWhole(daemon, 'xone'),
    async holds(daemon) {
      await daemon.ask('DELETE', '/images/xone');
      await daemon.mydock('load', '-q', '-i', join(daemon.folder, 'saved.tar'));
      await isWhole(daemon, 'xone');
    },
    cleanUp: clean,
  },
  {
    name: 'tag',
    async prepare(daemon) {
      name = 'xone:latest';
      await prepareLoaded(daemon, [name]);
    },
    operate: (daemon) => daemon.ask('POST', '/images/xone/tag?repo=xtwo&tag=latest'),
    keeps: (daemon) => isWhole(daemon, 'xone'),
    ...namesIt('xtwo'),
    cleanUp: clean,
  },
  {
    name: 'image remove of one name',
    prepare: (daemon) => prepareLoaded(daemon, ['xone:latest', 'xtwo:latest']),
    operate: (daemon) => daemon.ask('DELETE', '/images/xone', { allowed: [404] }),
    keeps: (daemon) => isWhole(daemon, 'xtwo'),
    async holds(daemon) {
      require(!(await isThere(daemon, 'xone')), 'the name is there');
      await isWhole(daemon, 'xtwo');
    },
    cleanUp: clean,
  },
  {
    name: 'image remove',
    layers: true,
    prepare: (daemon) => prepareLoaded(daemon, ['xone:latest']),
    operate: (daemon) => daemon.ask('DELETE', '/images/xone', { allowed: [404] }),
    async keeps(daemon) {
      if (await isThere(daemon, 'xone')) await isWhole(daemon, 'xone');
    },
    async holds(daemon) {
      require(!(await isThere(daemon, id)), 'the image is there');
    },
    cleanUp: clean,
  },
  {
    name: 'image prune',
    layers: true,
    async prepare(daemon) {
      await prepareLoaded(daemon, ['xone:latest']);
      await prepareLoaded(daemon, ['xone:latest']);
    },
    operate: (daemon) => daemon.ask('POST', '/images/prune'),
    keeps: (daemon) => isWhole(daemon, 'xone'),
    async holds(daemon) {
      const images = (await daemon.ask('GET', '/images/json')).json<{ RepoTags: string[] | null }[]>();
      require(!images.some(({ RepoTags }) => (RepoTags ?? []).length === 0), 'one without a name is there');
    },
    async cleanUp(daemon) {
      await daemon.ask('POST', '/images/prune');
      await clean(daemon);
    },
  },
];
