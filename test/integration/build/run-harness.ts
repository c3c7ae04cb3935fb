/**
 * RUN without a solver: an engine in this process, a store with busybox in it, and steps that are given as what they are.
 * For what only shows below a build: what a step leaves, what it may see, how it ends.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { BuildStatus } from '../../../src/api/build-status.ts';
import { type Database, openDatabase } from '../../../src/base/database.ts';
import { BUILD_MIGRATIONS } from '../../../src/build/cache/cache-schema.ts';
import { Progress } from '../../../src/build/progress.ts';
import { RunService } from '../../../src/build/run/run-service.ts';
import type { PendingLayer, RunBuild, RunRequest } from '../../../src/build/run/run-step.ts';
import type { BuildSession } from '../../../src/build/session.ts';
import { NO_LIMITS } from '../../../src/build/solve-request.ts';
import { apparmorHost, DefaultApparmor } from '../../../src/container/default-apparmor.ts';
import { ContainerEngine } from '../../../src/container/engine.ts';
import { IdRanges } from '../../../src/container/id-ranges.ts';
import { CONTAINER_MIGRATIONS } from '../../../src/container/record.ts';
import { Runtimes } from '../../../src/container/runtimes.ts';
import { remapMapping } from '../../../src/container/subordinate-ids.ts';
import { UserNamespaces } from '../../../src/container/user-namespace.ts';
import { type DaemonConfig, daemonCommand, readConfig } from '../../../src/daemon/config.ts';
import { cgroupSettings, limitDefaults } from '../../../src/daemon/limits-config.ts';
import { keepMountsPrivate } from '../../../src/daemon/mounts.ts';
import { securityDefaults } from '../../../src/daemon/security-config.ts';
import { EventBus } from '../../../src/events/event-bus.ts';
import { type DiffID, parseDiffID } from '../../../src/image/digest.ts';
import type { CommittedLayer, Snapshotter } from '../../../src/image/layers/snapshotter.ts';
import { openSnapshotter } from '../../../src/image/layers/storage-driver.ts';
import { TarReader } from '../../../src/image/layers/tar/tar-reader.ts';
import { hostPlatform } from '../../../src/image/platform.ts';
import { ContentStore } from '../../../src/image/store/content-store.ts';
import { IMAGE_MIGRATIONS, ImageStore } from '../../../src/image/store/image-store.ts';
import { libraryDirectory } from '../../../src/native/addon.ts';
import { NETWORK_MIGRATIONS, NetworkManager } from '../../../src/network/network-manager.ts';
import { CdiRegistry } from '../../../src/oci/cdi/registry.ts';
import { readHostFacts } from '../../../src/oci/host-facts.ts';
import { VolumeStore } from '../../../src/volume/volume-store.ts';
import { VOLUME_MIGRATIONS } from '../../../src/volume/volume-table.ts';
import { busyboxTar } from '../../fixtures/catalog.ts';

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
export const EPOCH = 1_700_000_000;
let count = 0;

/** What a step takes; the rest is as in a build without options. */
export type StepOptions = Partial<RunRequest> & {
  build?: Partial<RunBuild>;
  output?: (text: string) => void;
};

export class RunHarness {
  readonly folder: string;
  readonly dataRoot: string;
  readonly execRoot: string;
  readonly service: RunService;
  readonly snapshotter: Snapshotter;
  readonly base: DiffID;
  readonly engine: ContainerEngine;
  readonly #networks: NetworkManager;
  /** For tests that put a builder together. */
  readonly config: DaemonConfig;
  readonly images: ImageStore;
  readonly contentStore: ContentStore;
  readonly database: Database;
  readonly #pending: PendingLayer[] = [];

  private constructor(parts: {
    folder: string;
    execRoot: string;
    engine: ContainerEngine;
    networks: NetworkManager;
    snapshotter: Snapshotter;
    config: DaemonConfig;
    images: ImageStore;
    contentStore: ContentStore;
    database: Database;
    base: DiffID;
    keepFailedMs: number | undefined;
  }) {
    const { folder, execRoot, engine, snapshotter, keepFailedMs } = parts;
    this.folder = folder;
    this.dataRoot = join(folder, 'data');
    this.execRoot = execRoot;
    this.engine = engine;
    this.snapshotter = snapshotter;
    this.base = parts.base;
    this.#networks = parts.networks;
    this.config = parts.config;
    this.images = parts.images;
    this.contentStore = parts.contentStore;
    this.database = parts.database;
    this.service = new RunService({
      snapshotter,
      stepRunner: engine.stepRunner(),
      directory: join(this.dataRoot, 'build'),
      execDirectory: join(execRoot, 'build'),
      ...(keepFailedMs === undefined ? {} : { keepFailedMs }),
    });
  }

  /** `args` are the daemon's, as `--storage-driver overlay`. */
  static async start(args: readonly string[] = [], keepFailedMs?: number): Promise<RunHarness> {
    const folder = mkdtempSync(join(tmpdir(), 'run-'));
    const execRoot = `/run/steps-${process.pid}-${count++}`;
    const places = ['--data-root', join(folder, 'data'), '--exec-root', execRoot];
    const config = readConfig(daemonCommand(), [...places, '--host', `unix://${folder}/socket`, ...args]);
    for (const path of [config.dataRoot, config.execRoot]) mkdirSync(path, { recursive: true });
    keepMountsPrivate(join(execRoot, 'containers'));
    keepMountsPrivate(join(execRoot, 'images'));
    const database = openDatabase(join(config.dataRoot, 'mydock.db'), [
      IMAGE_MIGRATIONS,
      CONTAINER_MIGRATIONS,
      NETWORK_MIGRATIONS,
      VOLUME_MIGRATIONS,
      BUILD_MIGRATIONS,
    ]);
    const host = readHostFacts();
    const remap = config.usernsRemap === '' ? undefined : remapMapping(config.usernsRemap);
    const snapshotter = openSnapshotter({ ...config, driver: config.storageDriver });
    const contentStore = new ContentStore(join(config.dataRoot, 'content'));
    const events = new EventBus();
    const networks = await NetworkManager.open({ ...config, database, instance: `s${count}` });
    const runtimePath = join(libraryDirectory(), 'mydock-runtime');
    const paths = { runtimePath, initPath: join(libraryDirectory(), 'mydock-init') };
    const images = new ImageStore({ database, contentStore, snapshotter, events });
    const engine = new ContainerEngine({
      runtimes: new Runtimes(config, runtimePath),
      settings: {
        ...config,
        ...paths,
        security: securityDefaults(config),
        cgroups: cgroupSettings(config),
        limits: limitDefaults(config),
      },
      database,
      images,
      contentStore,
      snapshotter,
      networks,
      volumes: new VolumeStore({ database, root: join(config.dataRoot, 'volumes'), events }),
      cdi: new CdiRegistry([]),
      userNamespaces: new UserNamespaces({ ...config, remap, ranges: new IdRanges(database) }),
      events,
      host,
      apparmor: new DefaultApparmor(host.apparmor ? apparmorHost() : undefined),
    });
    await engine.restore();
    const tar = await busyboxTar();
    const blobPath = join(folder, 'busybox.tar');
    writeFileSync(blobPath, tar);
    const base = parseDiffID(`sha256:${createHash('sha256').update(tar).digest('hex')}`);
    await snapshotter.add({ blobPath, compression: 'none', diffId: base });
    await snapshotter.prepare([base]);
    const stores = { config, images, contentStore, database, snapshotter };
    return new RunHarness({ folder, execRoot, engine, networks, ...stores, base, keepFailedMs });
  }

  /** Runs `script` with the shell on top of the base. */
  async run(script: string, options: StepOptions = {}): Promise<PendingLayer> {
    const { build, output, ...request } = options;
    const progress = new Progress((status) => {
      const text = textOf(status);
      if (text !== '') output?.(text);
    }, 'test');
    const pending = await this.service.run(
      {
        layers: [this.base],
        platform: hostPlatform(),
        args: ['/bin/sh', '-c', script],
        env: [PATH],
        cwd: '/',
        user: '',
        mounts: [],
        network: 'none',
        insecure: false,
        epochSeconds: EPOCH,
        vertex: progress.vertex('RUN'),
        signal: AbortSignal.timeout(60_000),
        ...request,
      },
      {
        id: 'build',
        extraHosts: [],
        limits: NO_LIMITS,
        ulimits: [],
        cgroupParent: '',
        entitlements: [],
        keepFailed: false,
        newLayers: { onStored: () => undefined },
        ...build,
      },
    );
    this.#pending.push(pending);
    return pending;
  }

  /** What a step printed. */
  async output(script: string, options: StepOptions = {}): Promise<string> {
    const lines: string[] = [];
    await this.run(script, { ...options, output: (text) => lines.push(text) });
    return lines.join('');
  }

  /** The entries of a layer: `name mode uid:gid mtime`. */
  async entries(layer: Pick<CommittedLayer, 'diffId'>): Promise<string[]> {
    const entries: string[] = [];
    const reader = new TarReader({
      entry: ({ name, mode, uid, gid, mtimeSec }) => {
        entries.push(`${name} ${(mode ?? 0).toString(8)} ${uid}:${gid} ${mtimeSec}`);
      },
      data: () => undefined,
      end: () => undefined,
    });
    for await (const chunk of this.snapshotter.exportTar(layer.diffId)) reader.push(chunk as Buffer);
    reader.finish();
    return entries;
  }

  /** Files below the data root, of steps and mounts, that should not outlive them. */
  leftovers(): string[] {
    return [join(this.dataRoot, 'build/runs'), join(this.execRoot, 'build'), join(this.execRoot, 'userns')]
      .filter((path) => existsSync(path))
      .flatMap((path) => readdirSync(path).map((name) => join(path, name)));
  }

  mounts(): string[] {
    const table = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
    return table.filter((line) => line.includes('/build/'));
  }

  /** Ends everything, and fails where a step has left something. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#pending.map((pending) => pending.committed));
    await Promise.all(this.#pending.map((pending) => pending.release()));
    await this.service.close();
    const [left, mounts] = [this.leftovers(), this.mounts()];
    this.engine.shutdown();
    await this.#networks.destroy();
    await this.snapshotter.close();
    await this.contentStore.close();
    this.database.close();
    rmSync(this.folder, { recursive: true, force: true });
    assert.deepEqual(left, [], 'steps leave no files');
    assert.deepEqual(mounts, [], 'steps leave no mounts');
  }
}

function textOf({ logs = [] }: BuildStatus): string {
  return logs.map(({ data }) => Buffer.from(data, 'base64').toString()).join('');
}

/** A session that has what it is given, and nothing else. */
export function sessionOf(has: Partial<BuildSession>): BuildSession {
  const refuse = (): never => {
    throw new Error('the step asks for something that it should not');
  };
  return {
    id: 'session',
    sharedKey: '',
    syncFolder: refuse,
    upload: refuse,
    secret: () => Promise.resolve(undefined),
    hasSshAgent: () => Promise.resolve(false),
    connectSshAgent: refuse,
    credentials: () => Promise.resolve(undefined),
    sendFile: refuse,
    sendFolder: refuse,
    store: refuse,
    ...has,
  };
}
