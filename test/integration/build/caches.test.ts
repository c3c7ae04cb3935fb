/** Caches of builds elsewhere: what is exported is used by a daemon that has forgotten it. */
import assert from 'node:assert/strict';
import { createHash, randomUUID } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import type { Registry } from '../../fixtures/registry.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { type Daemon, daemonWithRegistry } from '../harness.ts';
import { sendBytes } from '../security/attack.ts';
import { type Built, classicBuild, type Files } from './classic-build.ts';

let daemon: Daemon;
let registry: Registry;
let close: () => Promise<void>;

before(async () => {
  ({ daemon, registry, close } = await daemonWithRegistry());
});
after(async () => await close());

const OCI = 'application/vnd.oci.image.manifest.v1+json';

type Spec = Readonly<Record<string, string>>;

const specs = (list: readonly Spec[]): string =>
  encodeURIComponent(JSON.stringify(list.map(({ type, ...attributes }) => ({ type, attributes }))));

interface Wanted {
  to?: readonly Spec[];
  from?: readonly Spec[];
  query?: string;
}

async function build(files: Files, { to = [], from = [], query = '' }: Wanted): Promise<Built> {
  return await classicBuild(daemon, files, `${query}&cacheto=${specs(to)}&cachefrom=${specs(from)}`);
}

const cachedSteps = ({ output }: Built): number => output.match(/Using cache/g)?.length ?? 0;

/** What is warned of on the way. */
async function warnings(files: Files, from: readonly Spec[]): Promise<string[]> {
  // A step that nobody has done: else nobody asks the cache.
  const Dockerfile = `${files['Dockerfile']}RUN echo ${randomUUID()}\n`;
  const all = { ...files, Dockerfile };
  const tar = makeTar(Object.entries(all).map(([path, data]) => ({ path, data })));
  const { text } = await sendBytes(daemon, 'POST', `/build?progress=status&cachefrom=${specs(from)}`, tar);
  assert.ok(text.includes('"ID":"sha256:'), text);
  return text
    .split('\n')
    .filter((line) => line !== '')
    .flatMap((line) => (JSON.parse(line) as { aux?: { warnings?: { short: string }[] } }).aux?.warnings ?? [])
    .map(({ short }) => Buffer.from(short, 'base64').toString());
}

function layersOf(): string[] {
  for (;;) {
    try {
      const names = readdirSync(join(daemon.dataRoot, 'layers'), { recursive: true, encoding: 'utf8' });
      return names.filter((name) => /(?:^|\/)[0-9a-f]{64}$/.test(name));
    } catch (error) {
      // What was removed goes in the background.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
  }
}

/** As on a machine that knows nothing but the base image. */
async function forget(): Promise<void> {
  const images = (await daemon.api('GET', '/images/json?all=1')).json<{ Id: string }[]>();
  for (const { Id } of images) await daemon.api('DELETE', `/images/${Id}?force=1`);
  assert.equal((await daemon.api('POST', '/build/prune?all=1')).status, 200);
  const from = encodeURIComponent(`${registry.host}/busybox`);
  const pulled = await daemon.api('POST', `/images/create?fromImage=${from}&tag=latest`);
  assert.equal(pulled.status, 200, pulled.text);
}

const stages = (last: string): Files => ({
  Dockerfile: `FROM ${registry.host}/busybox AS maker
COPY a.txt /a
RUN head -c 300000 /dev/urandom > /big; sha256sum /big > /made
FROM ${registry.host}/busybox
RUN cat /proc/sys/kernel/random/uuid > /id
COPY --from=maker /made /made
WORKDIR /w
${last}
`,
  'a.txt': 'a',
});

for (const form of [{}, { compression: 'zstd' }, { 'oci-mediatypes': 'false' }]) {
  test(`a registry ${JSON.stringify(form)}: every step is found, and only layers that are needed come`, async () => {
    const ref = `${registry.host}/caches/${Object.keys(form)[0] ?? 'plain'}:x`;
    const to = [{ type: 'registry', ref, mode: 'max', ...form }];
    const made = await build(stages(''), { to, query: 'nocache=1' });
    assert.equal(made.error, '', made.output);
    await forget();
    const before = layersOf().length;
    const from = [{ type: 'registry', ref }];
    const used = await build(stages(''), { from, query: 't=used' });
    assert.equal(used.error, '', used.output);
    assert.equal(used.id, made.id);
    assert.equal(cachedSteps(used), 5, used.output);
    // Of the other stage nothing was needed.
    assert.equal(layersOf().length, before + 3);
    const more = await build(stages('RUN cat /id /made > /both'), { from });
    assert.equal(more.error, '', more.output);
    assert.equal(cachedSteps(more), 5, more.output);
    // What such a cache says is nobody else's.
    const other = await build(stages(''), {});
    assert.equal(cachedSteps(other), 0, other.output);
    assert.notEqual(other.id, made.id);
  });
}

test('mode=min has the steps of the result; the same build exports the same cache', async () => {
  const ref = `${registry.host}/caches/min`;
  const to = [{ type: 'registry', ref }];
  const made = await build(stages('RUN echo min'), { to });
  assert.equal(made.error, '', made.output);
  const manifest = async (): Promise<string> =>
    (
      await fetch(`http://${registry.host}/v2/caches/min/manifests/latest`, { headers: { Accept: OCI } })
    ).text();
  const first = await manifest();
  const again = await build(stages('RUN echo min'), { to });
  assert.equal(again.error, '', again.output);
  assert.equal(await manifest(), first);
  await forget();
  const used = await build(stages('RUN echo min'), { from: to });
  assert.equal(used.error, '', used.output);
  // The other stage is done again, and what is copied from it is not what it was.
  assert.equal(cachedSteps(used), 1, used.output);
});

test('a cache that was imported and not unpacked is exported again', async () => {
  const ref = `${registry.host}/caches/first`;
  const second = `${registry.host}/caches/second`;
  const files = { Dockerfile: `FROM ${registry.host}/busybox\nRUN cat /proc/sys/kernel/random/uuid > /id\n` };
  const made = await build(files, { to: [{ type: 'registry', ref, mode: 'max' }] });
  await forget();
  const passed = await build(files, {
    from: [{ type: 'registry', ref }],
    to: [{ type: 'registry', ref: second, mode: 'max' }],
  });
  assert.equal(passed.error, '', passed.output);
  await forget();
  const used = await build(files, { from: [{ type: 'registry', ref: second }] });
  assert.equal(used.id, made.id, used.output);
});

test('inline: the image is the same from cache or without, and its name is enough', async () => {
  const name = `${registry.host}/inline/image`;
  const to = [{ type: 'inline' }];
  const files = stages('RUN echo > /inline');
  const made = await build(files, { to, query: `t=${name}` });
  assert.equal(made.error, '', made.output);
  assert.equal((await build(files, { to })).id, made.id);
  const args = encodeURIComponent('{"BUILDKIT_INLINE_CACHE":"1"}');
  assert.equal((await build(files, { query: `buildargs=${args}` })).id, made.id);
  const without = await build(files, {});
  assert.equal(cachedSteps(without), 6, without.output);
  assert.notEqual(without.id, made.id);
  // What is built on it says nothing of its steps.
  const above = await build({ Dockerfile: `FROM ${name}\nENV A=b\n` }, { query: 't=above' });
  assert.equal(above.error, '', above.output);
  await daemon.ok('save', '-o', join(daemon.folder, 'above.tar'), 'above');
  assert.ok(!readFileSync(join(daemon.folder, 'above.tar')).includes('mydock.cache'));
  await daemon.ok('save', '-o', join(daemon.folder, 'inline.tar'), name);
  assert.ok(readFileSync(join(daemon.folder, 'inline.tar')).includes('mydock.cache'));
  await daemon.ok('push', '-q', name);
  await forget();
  const from = encodeURIComponent(JSON.stringify([name]));
  const used = await classicBuild(daemon, files, `cachefrom=${from}&cacheto=${specs(to)}`);
  assert.equal(used.error, '', used.output);
  assert.ok(cachedSteps(used) >= 1, used.output);
  await daemon.ok('pull', '-q', name);
  const here = await classicBuild(
    daemon,
    { Dockerfile: `FROM ${registry.host}/busybox\nRUN cat /proc/sys/kernel/random/uuid > /id\n` },
    `cachefrom=${from}`,
  );
  assert.equal(cachedSteps(here), 1, here.output);
});

function proved(path: string): Spec {
  const { dev, ino } = statSync(path, { bigint: true });
  return { device: String(dev), inode: String(ino) };
}

test('a folder: written and read by the proof that the client sees it', async () => {
  const folder = join(daemon.folder, 'cache');
  mkdirSync(folder);
  const files = stages('RUN echo > /local');
  const to = [{ type: 'local', dest: folder, mode: 'max', ...proved(folder) }];
  const made = await build(files, { to });
  assert.equal(made.error, '', made.output);
  assert.deepEqual(readdirSync(folder).sort(), ['blobs', 'index.json', 'oci-layout']);
  await forget();
  const from = [{ type: 'local', src: folder, ...proved(folder) }];
  const used = await build(files, { from });
  assert.equal(used.id, made.id, used.output + used.error);
  assert.equal(cachedSteps(used), 6, used.output);
  const wrong = { device: '1', inode: '1' };
  const refused = await build(files, { to: [{ type: 'local', dest: folder, ...wrong }] });
  assert.match(refused.error, /does not see the cache folder/);
  // A blob that is not what it is called is not used.
  const blobs = join(folder, 'blobs/sha256');
  for (const name of readdirSync(blobs)) {
    const { size } = statSync(join(blobs, name));
    if (size > 100_000) writeFileSync(join(blobs, name), Buffer.alloc(size));
  }
  rmSync(join(folder, 'index.json'));
  const told = await warnings(files, from);
  assert.match(
    told.join('\n'),
    /importing cache manifest from .*: the cache is not used: .*index\.json is missing/,
  );
});

test('what is missing, broken or somebody else’s is a warning', async () => {
  const files = { Dockerfile: `FROM ${registry.host}/busybox\nRUN echo > /x\n` };
  await forget();
  const from = (ref: string): Spec[] => [{ type: 'registry', ref: `${registry.host}/${ref}` }];
  assert.match((await warnings(files, from('caches/nothing'))).join('\n'), /the cache is not used/);
  assert.match((await warnings(files, from('busybox'))).join('\n'), /no cache/);
  assert.match(
    (await warnings(files, [{ type: 'registry', ref: '127.0.0.1:1/x' }])).join('\n'),
    /the cache is not used/,
  );
  for (const type of ['gha', 's3', 'azblob', 'x']) {
    const refused = await build(files, { from: [{ type, ref: 'x' }] });
    assert.match(refused.error, new RegExp(`invalid cache type .*${type}.* of cache-from`));
    const exported = await build(files, { to: [{ type }] });
    assert.match(exported.error, new RegExp(`invalid cache type .*${type}.* of cache-to`));
  }
  for (const [name, value] of [
    ['mode', 'all'],
    ['compression', 'lzma'],
    ['image-manifest', 'perhaps'],
  ]) {
    const refused = await build(files, {
      to: [{ type: 'registry', ref: 'x', [name ?? '']: value ?? '' }],
    });
    assert.match(refused.error, new RegExp(`${value}`));
  }
  const failed = await build(files, { to: [{ type: 'registry', ref: '127.0.0.1:1/x' }] });
  assert.notEqual(failed.error, '');
  const ignored = await build(files, {
    to: [{ type: 'registry', ref: '127.0.0.1:1/x', 'ignore-error': 'true' }],
  });
  assert.equal(ignored.error, '');
});

interface CacheDocument {
  layers: { diffId: string; digest: string; size: number }[];
  records: unknown[];
}

interface Manifest {
  config: { digest: string; size: number };
}

/** Changes what a cache in the registry says, in its own repository. */
async function forge(path: string, change: (document: CacheDocument) => CacheDocument): Promise<void> {
  const base = `http://${registry.host}/v2/${path}`;
  const headers = { Accept: OCI };
  const manifest = (await (await fetch(`${base}/manifests/latest`, { headers })).json()) as Manifest;
  const document = (await (await fetch(`${base}/blobs/${manifest.config.digest}`)).json()) as CacheDocument;
  const config = Buffer.from(JSON.stringify(change(document)));
  const digest = `sha256:${createHash('sha256').update(config).digest('hex')}`;
  const upload = await fetch(`${base}/blobs/uploads/`, { method: 'POST' });
  const put = new URL(upload.headers.get('location') ?? '', base);
  put.searchParams.set('digest', digest);
  assert.equal((await fetch(put, { method: 'PUT', body: config })).status, 201);
  const forged = { ...manifest, config: { ...manifest.config, digest, size: config.length } };
  const stored = await fetch(`${base}/manifests/latest`, {
    method: 'PUT',
    headers: { 'Content-Type': OCI },
    body: JSON.stringify(forged),
  });
  assert.equal(stored.status, 201, await stored.text());
}

test('a cache that lies of its layers is done without; so is one whose layers are gone', async () => {
  const ref = `${registry.host}/caches/forged`;
  const from = [{ type: 'registry', ref }];
  const lines = ['RUN echo one > /one', 'RUN echo two > /two'];
  const files = (...more: string[]): Files => ({
    Dockerfile: `FROM ${registry.host}/busybox\n${[...lines, 'COPY a.txt /a', ...more].join('\n')}\n`,
    'a.txt': 'a',
  });
  const made = await build(files(), { to: [{ type: 'registry', ref, mode: 'max' }] });
  assert.equal(made.error, '', made.output);
  await forge('caches/forged', (document) => {
    const [one, two, three, ...rest] = document.layers;
    assert.ok(one !== undefined && two !== undefined && three !== undefined && rest.length === 0);
    return {
      ...document,
      layers: [
        { ...one, diffId: two.diffId },
        { ...two, diffId: three.diffId },
        { ...three, diffId: one.diffId },
      ],
    };
  });
  await forget();
  // The image needs them, or a step does.
  const lied = await build(files(), { from, query: 't=lied' });
  assert.deepEqual([lied.error, lied.id], ['', made.id], lied.output);
  await forget();
  assert.match(
    (await warnings(files(), from)).join('\n'),
    /caches\/forged.*: layer sha256:[0-9a-f]{64} cannot be used, and the cache is not any more/,
  );
  await forget();
  // What came of it is not there for others.
  const honest = await build(files(), {});
  assert.deepEqual([honest.error, honest.id], ['', made.id]);
  await forget();
  await forge('caches/forged', (document) => ({
    ...document,
    layers: document.layers.map((layer, i) => ({ ...layer, digest: `sha256:${String(i + 1).repeat(64)}` })),
  }));
  assert.match((await warnings(files(), from)).join('\n'), /layer sha256:[0-9a-f]{64} is not there any more/);
});

test('a fresh build is no cache for others, and takes nothing from the one before', async () => {
  const files = {
    Dockerfile: `FROM ${registry.host}/busybox\nRUN cat /proc/sys/kernel/random/uuid > /fresh\n`,
  };
  const made = await build(files, {});
  const fresh = await build(files, { query: 'fresh=1' });
  assert.deepEqual([made.error, fresh.error], ['', '']);
  assert.notEqual(fresh.id, made.id);
  assert.equal((await build(files, {})).id, made.id);
});

test('cache mounts go along where that is asked for, into stores that have no such cache', async () => {
  const ref = `${registry.host}/caches/mounts`;
  const to = (more: Spec): Spec[] => [{ type: 'registry', ref, mode: 'max', ...more }];
  const from = [{ type: 'registry', ref }];
  const mount = '--mount=type=cache,id=kept,target=/kept,uid=7,mode=0750';
  const files = (run: string): Files => ({
    Dockerfile: `FROM ${registry.host}/busybox\nRUN ${mount} ${run}\n`,
  });
  const fill = 'mkdir -p /kept/a && echo first > /kept/a/file && ln -s /etc/passwd /kept/link';
  const left = (await build(files(fill), { to: to({ 'cache-mounts': 'true', 'cache-mounts-size': '1' }) }))
    .output;
  assert.match(left, /cache mount "kept" is not exported: it has \d+ bytes, and cache-mounts-size allows 1/);
  await forget();
  const see = (id: string) => files(`stat -c '%u %a' /kept; cat /kept/a/file; readlink /kept/link; : ${id}`);
  const without = await build(see('nothing'), { from });
  assert.match(without.output, /No such file/);
  await forget();
  // Its step is cached, and the mount goes along all the same.
  await build(files(fill), {});
  const made = await build(files(fill), { to: to({ 'cache-mounts': 'true' }) });
  assert.equal(made.error, '', made.output);
  assert.equal(cachedSteps(made), 1);
  await forget();
  const seen = await build(see('brought'), { from });
  assert.match(seen.output, /\n7 750\nfirst\n\/etc\/passwd\n/, seen.error);
  // What is here stays as it is.
  assert.equal((await build(files('echo second > /kept/a/file'), {})).error, '');
  assert.match((await build(see('again'), { from })).output, /\n7 750\nsecond\n/);
  for (const [name, value] of [
    ['cache-mounts', 'some'],
    ['cache-mounts-size', '1G'],
  ]) {
    const refused = await build(files(fill), { to: to({ [name ?? '']: value ?? '' }) });
    assert.match(refused.error, new RegExp(`${name}.*${value}`));
  }
});
