/** Images of the daemon and of registries: every operation of the groups `image` and `distribution`. */
import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { HOST_PLATFORM, makeImage, makeIndex, makeLayer, OTHER_PLATFORM } from '../../fixtures/image.ts';
import { makeTar, NOBODY, removed, running, type Stage } from './stage.ts';

const LIST = 'GET /images/json';
const INSPECT = 'GET /images/{name}/json';
const HISTORY = 'GET /images/{name}/history';
const REMOVE = 'DELETE /images/{name}';
const HERE = JSON.stringify({ os: HOST_PLATFORM.os, architecture: HOST_PLATFORM.architecture });
const ELSEWHERE = JSON.stringify({ os: 'linux', architecture: 's390x' });

export async function driveImages(stage: Stage): Promise<void> {
  await drivePull(stage);
  await driveList(stage);
  await driveInspect(stage);
  await driveTag(stage);
  await driveArchives(stage);
  await driveRemove(stage);
  await driveImagePrune(stage);
}

async function drivePull({ recorder, reference, registry, daemon }: Stage): Promise<void> {
  const [repository = '', tag = ''] = reference.split(/:(?=[^:]*$)/);
  const operation = 'POST /images/create';
  const pulled = async (what: string, expect: number, query: Record<string, string>): Promise<void> => {
    await recorder.drive({ operation, what, expect, query, lines: true });
  };
  await pulled('a tag', 200, { fromImage: repository, tag });
  await pulled('a whole reference', 200, { fromImage: reference });
  await pulled('a platform', 200, { fromImage: reference, platform: 'linux' });
  await pulled('an unknown repository', 404, { fromImage: `${registry}/nothing`, tag: 'latest' });
  await pulled('a wrong name', 400, { fromImage: 'UPPER', tag: 'latest' });
  await recorder.drive({
    operation,
    what: 'an archive (fromSrc)',
    expect: 200,
    query: { fromSrc: '-', repo: 'imported' },
    body: makeTar([{ path: 'file', data: 'x' }]),
    lines: true,
  });
  await daemon.api('DELETE', '/images/imported');
}

async function driveList({ recorder }: Stage): Promise<void> {
  const queries: Record<string, Record<string, string>> = {
    all: { all: '1' },
    tagged: {},
    'with digests': { digests: '1' },
    'shared sizes': { 'shared-size': '1' },
    manifests: { manifests: '1' },
    'filter reference': { filters: '{"reference":["busy[a-c]ox*"]}' },
    'filter dangling': { filters: '{"dangling":["true"]}' },
    'filter label': { filters: '{"label":["fixture"]}' },
    'filter before': { filters: '{"before":["busybox"]}' },
    'filter since': { filters: '{"since":["busybox"]}' },
    'filter until': { filters: '{"until":["1h"]}' },
  };
  for (const [what, query] of Object.entries(queries)) {
    await recorder.drive({ operation: LIST, what, expect: 200, query });
  }
  const wrong = { 'an unknown filter': '{"x":["y"]}', 'a wrong pattern': '{"reference":["["]}' };
  for (const [what, filters] of Object.entries(wrong)) {
    await recorder.drive({ operation: LIST, what, expect: 400, query: { filters } });
  }
}

async function driveInspect(stage: Stage): Promise<void> {
  const { recorder } = stage;
  const drive = async (
    operation: string,
    what: string,
    expect: number,
    name: string,
    query = {},
  ): Promise<void> => {
    await recorder.drive({ operation, what, expect, path: { name }, query });
  };
  await drive(INSPECT, 'by name', 200, 'busybox');
  await drive(INSPECT, 'by reference', 200, stage.reference);
  const digest = await stage.daemon.inspect(stage.reference, '{{index .RepoDigests 0}}');
  await drive(INSPECT, 'by digest', 200, digest);
  await drive(INSPECT, 'with manifests', 200, 'busybox', { manifests: '1' });
  await drive(INSPECT, 'its platform', 200, 'busybox', { platform: HERE });
  await drive(INSPECT, 'another platform', 404, 'busybox', { platform: ELSEWHERE });
  await drive(INSPECT, 'a platform that is none', 400, 'busybox', { platform: 'linux' });
  await drive(INSPECT, 'a missing one', 404, NOBODY);
  await drive(HISTORY, 'by name', 200, 'busybox');
  await drive(HISTORY, 'its platform', 200, 'busybox', { platform: HERE });
  await drive(HISTORY, 'another platform', 404, 'busybox', { platform: ELSEWHERE });
  await drive(HISTORY, 'a missing one', 404, NOBODY);
}

async function driveTag({ recorder }: Stage): Promise<void> {
  const operation = 'POST /images/{name}/tag';
  const tag = async (
    what: string,
    expect: number,
    name: string,
    query: Record<string, string>,
  ): Promise<void> => {
    await recorder.drive({ operation, what, expect, path: { name }, query });
  };
  await tag('a new tag', 201, 'busybox', { repo: 'again', tag: 'v1' });
  await tag('a wrong name', 400, 'busybox', { repo: 'UPPER' });
  await tag('a wrong tag', 400, 'busybox', { repo: 'again', tag: '-' });
  await tag('no name', 400, 'busybox', {});
  await tag('a missing image', 404, NOBODY, { repo: 'again' });
}

async function driveArchives({ recorder, daemon }: Stage): Promise<void> {
  const one = 'GET /images/{name}/get';
  const saved = await recorder.drive({
    operation: one,
    what: 'by name',
    expect: 200,
    path: { name: 'busybox' },
  });
  await recorder.drive({
    operation: one,
    what: 'its platform',
    expect: 200,
    path: { name: 'busybox' },
    query: { platform: HERE },
  });
  await recorder.drive({ operation: one, what: 'a missing one', expect: 404, path: { name: NOBODY } });
  const many = 'GET /images/get';
  await recorder.drive({ operation: many, what: 'by name', expect: 200, query: { names: 'busybox' } });
  await recorder.drive({ operation: many, what: 'a missing one', expect: 404, query: { names: NOBODY } });
  const load = 'POST /images/load';
  const loaded = async (what: string, expect: number, body: Buffer, query = {}): Promise<void> => {
    await recorder.drive({ operation: load, what, expect, body, query, lines: true });
  };
  await daemon.ok('rmi', '-f', 'again:v1');
  await loaded('what was saved', 200, saved.body);
  await loaded('quiet', 200, saved.body, { quiet: '1' });
  await loaded('its platform', 200, saved.body, { platform: HERE });
}

async function driveRemove(stage: Stage): Promise<void> {
  const { recorder, daemon } = stage;
  const remove = async (what: string, expect: number, name: string, query = {}): Promise<void> => {
    await recorder.drive({ operation: REMOVE, what, expect, path: { name }, query });
  };
  await daemon.ok('tag', 'busybox', 'again:v1');
  await remove('one of several tags', 200, 'again:v1');
  await daemon.ok('tag', 'busybox', 'again:v1');
  await remove('another platform', 404, 'again:v1', { platforms: ELSEWHERE });
  await remove('its platform, by force, without parents', 200, 'again:v1', {
    platforms: HERE,
    force: '1',
    noprune: '1',
  });
  await remove('a missing one', 404, NOBODY);
  const user = await running(stage, 'user');
  await remove('one that a container runs', 409, await daemon.inspect('user', '{{.Image}}'));
  await removed(stage, user);
}

async function driveImagePrune({ recorder, daemon }: Stage): Promise<void> {
  const operation = 'POST /images/prune';
  await recorder.drive({ operation, what: 'nothing to remove', expect: 200 });
  await daemon.ok('run', '--name', 'work', 'busybox', 'touch', '/work');
  const lost = await daemon.ok('commit', 'work', 'moving');
  await daemon.ok('rm', 'work');
  await daemon.ok('tag', 'busybox', 'moving');
  const filters = '{"dangling":["true"],"label!":["kept"]}';
  await recorder.drive({
    operation,
    what: 'dangling ones, by label',
    expect: 200,
    query: { filters },
    verify: (answer) => {
      const { ImagesDeleted: items, SpaceReclaimed: bytes } = answer.json<{
        ImagesDeleted: { Deleted?: string }[];
        SpaceReclaimed: number;
      }>();
      assert.ok(items.some(({ Deleted }) => Deleted === lost));
      assert.ok(bytes > 0);
    },
  });
  await recorder.drive({
    operation,
    what: 'until',
    expect: 200,
    query: { filters: '{"until":["100000h"]}' },
  });
  await recorder.drive({
    operation,
    what: 'an unknown filter',
    expect: 400,
    query: { filters: '{"x":["y"]}' },
  });
  await daemon.ok('rmi', 'moving');
}

/** What is in registries: push, search, descriptors. */
export async function driveDistribution(stage: Stage): Promise<void> {
  const { recorder, registry, reference } = stage;
  await drivePush(stage);
  const operation = 'GET /distribution/{name}/json';
  await recorder.drive({ operation, what: 'by reference', expect: 200, path: { name: reference } });
  await recorder.drive({
    operation,
    what: 'several platforms',
    expect: 200,
    path: { name: `${registry}/several:v1` },
    verify: (answer) => assert.equal(answer.json<{ Platforms: unknown[] }>().Platforms.length, 2),
  });
  await recorder.drive({
    operation,
    what: 'a missing one',
    expect: 404,
    path: { name: `${registry}/${NOBODY}:v1` },
  });
  await recorder.drive({ operation, what: 'a wrong name', expect: 400, path: { name: 'UPPER' } });
  await driveSearch(stage);
}

async function drivePush({ recorder, registry, daemon, push }: Stage): Promise<void> {
  const layer = makeLayer(makeTar([{ path: 'several', data: 'x' }]), 'gzip');
  const platforms = [HOST_PLATFORM, OTHER_PLATFORM].map((platform) =>
    makeImage({ layers: [layer], platform }),
  );
  await push('several', 'v1', makeIndex(platforms));
  const operation = 'POST /images/{name}/push';
  const name = `${registry}/pushed`;
  const drive = async (what: string, path: string, query: Record<string, string>): Promise<void> => {
    await recorder.drive({
      operation,
      what,
      expect: 200,
      path: { name: path },
      query,
      headers: { 'x-registry-auth': Buffer.from('{}').toString('base64url') },
      lines: true,
    });
  };
  await daemon.ok('tag', 'busybox', `${name}:v1`);
  await drive('a tag', name, { tag: 'v1' });
  await drive('what is there already', name, { tag: 'v1' });
  await drive('its platform', name, { tag: 'v1', platform: HERE });
  await recorder.drive({ operation, what: 'a wrong name', expect: 400, path: { name: 'UPPER' } });
  await daemon.ok('rmi', `${name}:v1`);
}

/** A registry with an index of one result. */
async function driveSearch({ recorder }: Stage): Promise<void> {
  const server = createServer((_, response) => {
    const result = { name: 'found', description: 'd', star_count: 3, is_official: true, is_automated: false };
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify({ query: 'x', num_results: 1, results: [result] }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  assert.ok(address !== null && typeof address === 'object');
  const operation = 'GET /images/search';
  const term = `127.0.0.1:${address.port}/found`;
  try {
    await recorder.drive({ operation, what: 'a word', expect: 200, query: { term } });
    await recorder.drive({ operation, what: 'a limit', expect: 200, query: { term, limit: '1' } });
    const filters = '{"is-official":["true"],"stars":["3"]}';
    await recorder.drive({
      operation,
      what: 'filters',
      expect: 200,
      query: { term, filters },
      verify: (answer) => assert.equal(answer.json<unknown[]>().length, 1),
    });
    await recorder.drive({ operation, what: 'a wrong limit', expect: 400, query: { term, limit: '101' } });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
