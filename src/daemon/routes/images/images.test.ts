import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ImageSummary } from '../../../api/images.ts';
import { compareApiVersions } from '../../../api/version.ts';
import type { ImageID } from '../../../image/digest.ts';
import { imageManifests } from '../../../image/store/image-manifests.ts';
import type { Image } from '../../../image/store/image-store.ts';
import { type TestLayer, testImage, testIndex, testLayer } from '../../../image/testing/image-builder.ts';
import { PullBench } from '../../../image/testing/pull-bench.ts';
import type { ApiRequest } from '../../request.ts';
import type { ImagesBackend } from './backend.ts';
import { imageHistory } from './history.ts';
import { inspectImage } from './inspect.ts';
import { listImages, summarizeImages } from './list.ts';
import { decodePlatform } from './platform.ts';

type Given = {
  config?: Record<string, unknown>;
  references?: string[];
  repoDigest?: string;
  parent?: ImageID;
};

class Stage extends PullBench {
  readonly containers = new Map<string, string[]>();
  readonly backend: ImagesBackend = {
    driver: 'fake',
    list: () => this.images.list(),
    resolve: (name) => this.images.resolve(name),
    tryResolve: (name) => this.images.tryResolve(name),
    forPlatform: (image, platform) => this.images.forPlatform(image, platform),
    children: (id) => this.images.children(id),
    layersByImage: () => this.images.layersByImage(),
    layerSizeBytes: (diffId) => this.snapshotter.layer(diffId)?.sizeBytes ?? 0,
    manifests: (image, containersOf) =>
      imageManifests({ images: this.images, content: this.content, containersOf }, image),
    containersByImage: () => this.containers,
    tag: () => {},
    remove: () => Promise.resolve([]),
    prune: (options) =>
      this.images.prune({
        ...options,
        usedBy: (id) =>
          (this.containers.get(id) ?? []).map((containerId) => ({ containerId, running: true })),
      }),
  } as Partial<ImagesBackend> as ImagesBackend;

  add(layers: readonly TestLayer[], { config = {}, ...rest }: Given = {}): Image {
    for (const layer of layers) this.snapshotter.stored.set(layer.diffId, layer.tar);
    return this.images.add({
      configBytes: testImage([...layers], { config }).config,
      layers: layers.map(({ diffId }) => ({ diffId })),
      ...rest,
    });
  }

  names(filters: Record<string, string[]>, all = false): string[] {
    return summarizeImages(this.backend, { filters, all }).map(({ RepoTags, RepoDigests }) =>
      [...RepoTags, ...RepoDigests].join(' '),
    );
  }
}

/** A request of an API version with a query. */
function request(version: string, query: Record<string, string> = {}): ApiRequest {
  return {
    atLeast: (wanted: string) => compareApiVersions(version, wanted) >= 0,
    flag: (name: string) => query[name] === '1',
    text: (name: string) => query[name] ?? '',
    filters: () => JSON.parse(query['filters'] ?? '{}') as Record<string, string[]>,
  } as Partial<ApiRequest> as ApiRequest;
}

const DIGEST = `sha256:${'d'.repeat(64)}`;

async function stocked(): Promise<Stage> {
  const stage = new Stage();
  const layer = await testLayer('base');
  const made = (day: number, labels?: object): Record<string, unknown> => ({
    created: `2024-05-0${day}T00:00:00Z`,
    config: labels === undefined ? {} : { Labels: labels },
  });
  stage.add([layer], {
    config: made(1, { tier: 'web', a: 'b=c' }),
    references: ['nginx:1.25', 'nginx:latest'],
  });
  stage.add([layer], { config: made(2, { tier: 'db' }), references: ['localhost:5000/team/db:v1'] });
  stage.add([layer], { config: made(3), repoDigest: `busybox@${DIGEST}` });
  const parent = stage.add([layer], { config: made(4) });
  stage.add([layer, await testLayer('top')], { config: made(5), parent: parent.id });
  return stage;
}

test('filters', async () => {
  using stage = await stocked();
  const [nginx, db, busybox] = ['nginx:1.25 nginx:latest', 'localhost:5000/team/db:v1', `busybox@${DIGEST}`];
  const cases: [filters: Record<string, string[]>, expected: string[]][] = [
    [{}, ['', busybox, db, nginx]],
    [{ dangling: ['true'] }, ['', busybox]],
    [{ dangling: ['false'] }, [busybox, db, nginx]],
    [{ label: ['tier'] }, [db, nginx]],
    [{ label: ['tier=web', 'a=b=c'] }, [nginx]],
    [{ 'label!': ['tier=web'] }, ['', busybox, db]],
    [{ reference: ['nginx'] }, [nginx]],
    [{ reference: ['nginx:1.*'] }, ['nginx:1.25']],
    [{ reference: ['*'] }, [busybox, nginx]],
    [{ reference: ['*/*/d?', 'busy[a-c]ox'] }, [busybox, db]],
    [{ reference: ['localhost:5000'] }, []],
    [{ before: ['nginx:latest'] }, []],
    [{ since: ['nginx:latest'], before: [`busybox@${DIGEST}`] }, [db]],
    [{ until: ['2024-05-02T12:00:00Z'] }, [db, nginx]],
  ];
  for (const [filters, expected] of cases) {
    assert.deepEqual(stage.names(filters), expected, JSON.stringify(filters));
  }
  assert.equal(stage.names({}, true).length, 5);
  for (const [filters, message] of [
    [{ colour: ['red'] }, "invalid filter 'colour'"],
    [{ dangling: ['maybe'] }, "invalid filter 'dangling=[maybe]'"],
    [{ until: ['soon'] }, 'failed to parse value as time or duration: "soon"'],
    [{ reference: ['[a'] }, 'syntax error in pattern'],
    [{ before: ['nobody'] }, 'No such image: nobody:latest'],
  ] as const) {
    assert.throws(() => stage.names(filters as unknown as Record<string, string[]>), { message });
  }
});

test('summaries count containers and what layers are shared', async () => {
  using stage = await stocked();
  const base = (await testLayer('base')).tar.length;
  const top = (await testLayer('top')).tar.length;
  const id = stage.images.resolve('nginx').id;
  stage.containers.set(id, ['c1', 'c2']);
  const summaries = summarizeImages(stage.backend, { sharedSize: true });
  assert.deepEqual(
    summaries.map(({ SharedSize, Size, Containers }) => [SharedSize, Size, Containers]),
    [
      [base, base + top, 0],
      [base, base, 0],
      [base, base, 0],
      [base, base, 2],
    ],
  );
});

test('older API versions read lists in their own form', async () => {
  using stage = await stocked();
  const first = (version: string, query = {}): Record<string, unknown> =>
    listImages(stage.backend, request(version, query))[0] as Record<string, unknown>;
  const now = first('1.51');
  assert.deepEqual([now['RepoTags'], now['VirtualSize'], now['Containers']], [[], undefined, 0]);
  assert.equal(first('1.50')['Containers'], -1);
  assert.equal(first('1.43')['VirtualSize'], now['Size']);
  assert.deepEqual(first('1.42')['RepoTags'], ['<none>:<none>']);
  assert.deepEqual(first('1.42')['RepoDigests'], ['<none>@<none>']);
  assert.equal(first('1.41', { 'shared-size': '1' })['SharedSize'], -1);
  assert.deepEqual(first('1.40', { filter: 'nginx' })['RepoTags'], ['nginx:1.25', 'nginx:latest']);
  assert.deepEqual(first('1.41', { filter: 'nginx' })['RepoTags'], ['<none>:<none>']);
});

test('history: sizes of layers, IDs and tags of what is here', async () => {
  using stage = new Stage();
  const [base, top] = [await testLayer('base'), await testLayer('top')];
  const steps = [{ created: '2024-05-01T00:00:00Z', created_by: 'ADD', comment: 'c' }, { empty_layer: true }];
  const parent = stage.add([base], { config: { history: steps }, references: ['parent:v1'] });
  const image = stage.add([base, top], {
    config: { history: [...steps, { created_by: 'RUN' }] },
    parent: parent.id,
  });
  const none = { Comment: '', Created: 0, CreatedBy: '', Size: 0, Tags: null };
  assert.deepEqual(imageHistory(stage.backend, image), [
    { ...none, CreatedBy: 'RUN', Id: image.id, Size: top.tar.length },
    { ...none, Id: parent.id, Tags: ['parent:v1'] },
    {
      ...none,
      Comment: 'c',
      Created: 1_714_521_600,
      CreatedBy: 'ADD',
      Id: '<missing>',
      Size: base.tar.length,
    },
  ]);
  const wrong = stage.add([base], { config: { history: [{}, {}] } });
  assert.throws(() => imageHistory(stage.backend, wrong), { message: /too many non-empty layers/ });
});

test('inspect shows the configuration as each API version has it', async () => {
  using stage = new Stage();
  const image = stage.add([await testLayer('base')], {
    config: {
      created: undefined,
      docker_version: '1.2.3',
      config: { Cmd: ['sh'], Hostname: 'h', Labels: {}, Env: ['A=b'], ExposedPorts: { '80/tcp': {} } },
    },
  });
  const shown = (version: string): Record<string, unknown> =>
    inspectImage(stage.backend, image, request(version)) as Record<string, unknown>;
  assert.deepEqual(shown('1.51')['Config'], {
    Cmd: ['sh'],
    Entrypoint: null,
    Env: ['A=b'],
    ExposedPorts: { '80/tcp': {} },
    Labels: null,
    OnBuild: null,
    User: '',
    Volumes: null,
    WorkingDir: '',
  });
  assert.equal((shown('1.49')['Config'] as Record<string, unknown>)['Tty'], false);
  assert.deepEqual([shown('1.51')['Created'], shown('1.51')['VirtualSize']], [undefined, undefined]);
  assert.deepEqual(
    [shown('1.43')['Created'], shown('1.43')['VirtualSize']],
    ['0001-01-01T00:00:00Z', image.sizeBytes],
  );
  assert.deepEqual([shown('1.44')['ContainerConfig'], shown('1.45')['ContainerConfig']], [null, undefined]);
});

test('manifests: the index, its platforms, and which of them are here', async () => {
  using stage = new Stage();
  const layer = await testLayer('base');
  const here = testImage([layer]);
  const there = testImage([layer], { platform: { os: 'linux', architecture: 's390x' } });
  const attestation = {
    mediaType: here.mediaType,
    size: 7,
    digest: DIGEST,
    platform: { os: 'unknown', architecture: 'unknown' },
    annotations: {
      'vnd.docker.reference.type': 'attestation-manifest',
      'vnd.docker.reference.digest': here.digest,
    },
  };
  const index = testIndex([here, there], [attestation]);
  stage.snapshotter.stored.set(layer.diffId, layer.tar);
  stage.content.put(layer.blob);
  const image = stage.images.add({
    configBytes: here.config,
    manifest: { bytes: here.manifest, mediaType: here.mediaType, digest: here.digest },
    index,
    layers: [{ diffId: layer.diffId, blobDigest: layer.digest, mediaType: layer.mediaType }],
    references: ['multi'],
  });
  stage.containers.set(image.id, ['c1']);
  const content = here.manifest.length + here.config.length + layer.blob.length;
  const [summary] = summarizeImages(stage.backend, { manifests: true }) as [ImageSummary];
  assert.deepEqual(summary.Descriptor, {
    mediaType: index.mediaType,
    digest: index.digest,
    size: index.bytes.length,
  });
  const shown = summary.Manifests?.map(({ ID, Available, Kind, Size, ImageData, AttestationData }) => ({
    ID,
    Available,
    Kind,
    Size,
    platform: ImageData?.Platform.architecture,
    containers: ImageData?.Containers,
    attested: AttestationData?.For,
  }));
  const nothing = { platform: undefined, containers: undefined, attested: undefined };
  assert.deepEqual(shown, [
    {
      ...nothing,
      ID: DIGEST,
      Available: false,
      Kind: 'attestation',
      Size: { Total: 0, Content: 0 },
      attested: here.digest,
    },
    {
      ...nothing,
      ID: here.digest,
      Available: true,
      Kind: 'image',
      Size: { Total: content + image.sizeBytes, Content: content },
      platform: here.platform.architecture,
      containers: ['c1'],
    },
    {
      ...nothing,
      ID: there.digest,
      Available: false,
      Kind: 'image',
      Size: { Total: 0, Content: 0 },
      platform: 's390x',
      containers: [],
    },
  ]);
  const inspected = (version: string, query = {}): Record<string, unknown> =>
    inspectImage(stage.backend, image, request(version, query)) as Record<string, unknown>;
  assert.deepEqual(inspected('1.48', { manifests: '1' })['Manifests'], summary.Manifests);
  assert.deepEqual([inspected('1.51')['Manifests'], inspected('1.47')['Descriptor']], [undefined, undefined]);
});

test('platforms are read as Docker reads them', () => {
  assert.deepEqual(decodePlatform('{"os":"linux","architecture":"arm64","variant":"v8"}'), {
    os: 'linux',
    architecture: 'arm64',
  });
  for (const [text, message] of [
    ['linux/arm64', /^failed to parse platform: /],
    ['[]', /^failed to parse platform: /],
    ['{"os":1}', /^failed to parse platform: /],
    ['{"os":"linux"}', /^both OS and Architecture must be provided$/],
    ['{"variant":"v7"}', /^optional platform fields provided, but OS and Architecture are missing$/],
  ] as const) {
    assert.throws(() => decodePlatform(text), { message }, text);
  }
});
