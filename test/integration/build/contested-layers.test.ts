/**
 * Layers that another user of the same content lets go of in the moment when a build has made them: every maker of layers
 * in a build, on both storage drivers; and builds of the same content side by side while what they make is removed.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { describe, test } from 'node:test';
import { StepCache } from '../../../src/build/cache/step-cache.ts';
import { Progress } from '../../../src/build/progress.ts';
import { NO_LIMITS, type SolveRequest } from '../../../src/build/solve-request.ts';
import { type ComposedBuilder, composeBuilder } from '../../../src/daemon/compose-build.ts';
import { EventBus } from '../../../src/events/event-bus.ts';
import type { CommittedLayer, Snapshotter } from '../../../src/image/layers/snapshotter.ts';
import type { Puller } from '../../../src/image/pull/puller.ts';
import { busyboxTar } from '../../fixtures/catalog.ts';
import { makeTar } from '../../fixtures/tar.ts';
import { daemonWithBusybox } from '../harness.ts';
import { classicBuild } from './classic-build.ts';
import { RunHarness } from './run-harness.ts';

const MAKERS = ['addTar', 'create', 'commit'] as const;

const DOCKERFILE = `FROM scratch AS made
ENV PATH=/bin
ADD busybox.tar /
WORKDIR /w/deep
COPY a.txt /w/
RUN --mount=type=cache,target=/cache echo kept > /cache/file && echo ran > /w/ran
FROM made
RUN echo second > /w/second
`;

/** A builder whose layers others let go of as soon as they are there. */
class ContestedBuilder {
  readonly harness: RunHarness;
  /** Makers, and how many layers of theirs others wanted gone. */
  readonly contested = new Map<string, number>();
  readonly cache: StepCache;
  #composed: ComposedBuilder | undefined;

  private constructor(harness: RunHarness) {
    this.harness = harness;
    const { database, images, snapshotter } = harness;
    this.cache = new StepCache({ database, images, snapshotter });
    images.setLayerUsers(() => [harness.base, ...this.cache.layers()]);
  }

  static async start(driver: string): Promise<ContestedBuilder> {
    const self = new ContestedBuilder(await RunHarness.start(['--storage-driver', driver]));
    const { config, images, contentStore, engine } = self.harness;
    const nobody = (): never => assert.fail('nothing is pulled or pushed');
    self.#composed = await composeBuilder({
      config,
      images,
      contentStore,
      snapshotter: self.#snapshotter(),
      engine,
      puller: { pull: nobody } as unknown as Puller,
      pusher: { push: nobody },
      registry: { env: {} },
      cache: self.cache,
      events: new EventBus(),
    });
    return self;
  }

  get builder(): ComposedBuilder['builder'] {
    return this.#composed?.builder ?? assert.fail('not started');
  }

  async close(): Promise<void> {
    await this.#composed?.close();
    await this.harness.close();
  }

  #snapshotter(): Snapshotter {
    const { snapshotter, images } = this.harness;
    return new Proxy(snapshotter, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value !== 'function') return value;
        const maker = MAKERS.find((one) => one === name);
        if (maker === undefined) return value.bind(target);
        return async (...args: unknown[]): Promise<CommittedLayer> => {
          const layer: CommittedLayer = await value.apply(target, args);
          await images.collectLayers([layer.diffId]);
          this.contested.set(maker, (this.contested.get(maker) ?? 0) + 1);
          return layer;
        };
      },
    });
  }

  async request(dockerfile: string, change: Partial<SolveRequest> = {}): Promise<[SolveRequest, Readable]> {
    const request: SolveRequest = {
      context: { kind: 'tar' },
      namedContexts: {},
      dockerfile: { path: '' },
      buildArgs: {},
      labels: {},
      target: '',
      platforms: [],
      noCache: true,
      pull: false,
      networkMode: 'none',
      extraHosts: [],
      limits: NO_LIMITS,
      ulimits: [],
      cgroupParent: '',
      entitlements: [],
      cacheFrom: [],
      cacheTo: [],
      outputs: [],
      squash: false,
      lock: { mode: 'off', content: '' },
      auth: {},
      keepFailed: false,
      check: false,
      ...change,
    };
    const body = makeTar([
      { path: 'Dockerfile', data: dockerfile },
      { path: 'a.txt', data: 'from the context\n' },
      { path: 'busybox.tar', data: await busyboxTar() },
    ]);
    return [request, Readable.from([body])];
  }
}

for (const driver of ['erofs', 'overlay'] as const) {
  describe(`${driver}: layers that others let go of`, () => {
    const withBuilder = (use: (contested: ContestedBuilder) => Promise<void>) => async () => {
      const contested = await ContestedBuilder.start(driver);
      try {
        await use(contested);
      } finally {
        await contested.close();
      }
    };

    test(
      'stay while the build goes on, whoever makes them',
      withBuilder(async (contested) => {
        const { builder, harness } = contested;
        const { snapshotter, images } = harness;
        const dest = join(harness.folder, 'exported');
        mkdirSync(dest);
        const { dev, ino } = statSync(dest, { bigint: true });
        const attributes = { dest, device: String(dev), inode: String(ino), 'cache-mounts': 'true' };
        const cacheTo = [{ type: 'local', attributes }];
        const [request, body] = await contested.request(DOCKERFILE, { squash: true, cacheTo });
        const lines: string[] = [];
        const progress = new Progress(({ warnings = [] }) => {
          for (const { short } of warnings) lines.push(Buffer.from(short, 'base64').toString());
        }, 'contested');
        const io = { id: 'contested', body, progress, signal: AbortSignal.timeout(60_000) };
        const solved = await builder.solve(request, io);
        const output = {
          type: 'image',
          names: ['made:1'],
          push: false,
          store: true,
          attributes: {},
        } as const;
        await builder.export(solved, [output], io);
        await solved.release();
        assert.deepEqual(
          lines.filter((line) => line.includes('not exported')),
          [],
          'the cache mount is exported',
        );
        // The context and the archive of ADD; ADD, WORKDIR, COPY and the squashed layer; two RUNs and the cache mount.
        assert.deepEqual(Object.fromEntries(contested.contested), { addTar: 2, create: 4, commit: 3 });
        const { diffIds } = images.resolve('made:1');
        const target = join(harness.folder, 'mounted');
        mkdirSync(target);
        await snapshotter.mount({ layers: diffIds, target });
        try {
          const read = (name: string): string => readFileSync(join(target, 'w', name), 'utf8');
          assert.deepEqual(['a.txt', 'ran', 'second'].map(read), ['from the context\n', 'ran\n', 'second\n']);
        } finally {
          await snapshotter.unmount(target);
        }
        await images.remove('made:1', { force: false, noPrune: false, usedBy: () => [] });
        await builder.prune({ all: true, filters: {} }, io.signal);
        assert.deepEqual(snapshotter.layers(), [harness.base], 'and go once nobody needs them');
      }),
    );

    test(
      'go with a build that fails behind them',
      withBuilder(async (contested) => {
        const { builder, harness } = contested;
        const [request, body] = await contested.request(`${DOCKERFILE}RUN false\n`, { fresh: true });
        const progress = new Progress(() => undefined, 'failing');
        const io = { id: 'failing', body, progress, signal: AbortSignal.timeout(60_000) };
        await assert.rejects(builder.solve(request, io), /did not complete successfully: exit code: 1/);
        assert.equal(contested.contested.get('create'), 3);
        assert.deepEqual(harness.snapshotter.layers(), [harness.base]);
      }),
    );
  });
}

test('builds of the same content side by side, while what they make is removed', async () => {
  const { daemon, close } = await daemonWithBusybox();
  try {
    const files = {
      Dockerfile: 'FROM busybox\nCOPY a.txt /a\nWORKDIR /w\nRUN cat /a > /w/b\nRUN cat /w/b > /w/c\n',
      'a.txt': 'content\n',
    };
    let over = false;
    const remove = async (): Promise<void> => {
      while (!over) {
        for (const name of ['one', 'two']) await daemon.api('DELETE', `/images/${name}?force=1`);
        const { status, text } = await daemon.api('POST', '/build/prune?all=1');
        assert.equal(status, 200, text);
      }
    };
    const build = async (name: string): Promise<void> => {
      for (let i = 0; i < 3; i++) {
        const built = await classicBuild(daemon, files, `nocache=1&t=${name}`);
        assert.equal(built.error, '', built.output);
      }
    };
    const removing = remove();
    try {
      await Promise.all([build('one'), build('two')]);
    } finally {
      over = true;
      await removing;
    }
    const last = await classicBuild(daemon, files, 't=last');
    assert.equal(last.error, '', last.output);
    assert.equal(await daemon.ok('run', '--rm', '--network', 'none', 'last', 'cat', '/w/c'), 'content');
  } finally {
    await close();
  }
});
