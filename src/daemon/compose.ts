/** Puts the parts of one daemon together: data root, database, stores, network, engine, routes. */
import { createHash, randomUUID } from 'node:crypto';
import { closeSync, existsSync, readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { removeTemporaryFiles, writeFileAtomic } from '../base/atomic-file.ts';
import { type Database, openDatabase, settleDatabase } from '../base/database.ts';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import { makeDirectory } from '../base/make-directory.ts';
import { inSpan } from '../base/spans.ts';
import { StepCache } from '../build/cache/step-cache.ts';
import { apparmorHost, DefaultApparmor } from '../container/default-apparmor.ts';
import { ContainerEngine } from '../container/engine.ts';
import { IdRanges } from '../container/id-ranges.ts';
import type { ContainerRecord } from '../container/record.ts';
import { Runtimes } from '../container/runtimes.ts';
import { UserNamespaces } from '../container/user-namespace.ts';
import { EventBus } from '../events/event-bus.ts';
import type { Snapshotter } from '../image/layers/snapshotter.ts';
import { openSnapshotter } from '../image/layers/storage-driver.ts';
import { Puller } from '../image/pull/puller.ts';
import { checkCredentials } from '../image/registry/login.ts';
import { ContentStore } from '../image/store/content-store.ts';
import { ImageStore } from '../image/store/image-store.ts';
import { libraryDirectory } from '../native/addon.ts';
import { NetworkManager } from '../network/network-manager.ts';
import { mountedLayers } from '../volume/mount-points.ts';
import { VolumePruner } from '../volume/prune.ts';
import { VolumeSnapshots } from '../volume/transfer/volume-snapshots.ts';
import { VolumeTransfers } from '../volume/transfer/volume-transfers.ts';
import { VolumeStore } from '../volume/volume-store.ts';
import { audited } from './access/audited.ts';
import { guardRoutes } from './access/guard.ts';
import { scopedBackends } from './access/scoped-backends.ts';
import { ScopedSockets } from './access/scoped-sockets.ts';
import { SocketTable } from './access/socket-table.ts';
import { apiRoutes, type Backends } from './backends.ts';
import { type ComposedBuilder, composeBuilder } from './compose-build.ts';
import { composeImages } from './compose-images.ts';
import { composeNetworks } from './compose-networks.ts';
import type { DaemonConfig } from './config.ts';
import { lockDataRoot } from './data-root-lock.ts';
import { systemDiagnostics } from './diagnostics.ts';
import { systemDiskUsage } from './disk-usage.ts';
import { adoptHijacked } from './hijack.ts';
import { foreignDrops, systemInfo, systemVersion } from './info.ts';
import { limitDefaults } from './limits-config.ts';
import { DATABASE_FILE, MIGRATIONS } from './migrations.ts';
import { keepMountsPrivate, mountReadOnly, unmountAll } from './mounts.ts';
import type { Preparation } from './preparation.ts';
import { Router } from './router.ts';
import { summarizeImages } from './routes/images/list.ts';
import { socketRoutes } from './routes/sockets/routes.ts';
import { containerSecurity } from './security/container-security.ts';
import { checkSystem } from './system-check.ts';
import { ContinuedWaits, exitCodes } from './takeover/pending-waits.ts';

export interface Daemon {
  router: Router;
  /** To be served once the daemon's own sockets are. */
  sockets: ScopedSockets;
  /** Starts containers whose restart policy wants it. */
  startByPolicy(): Promise<void>;
  /** Stops that wait for their containers are left to the next daemon; their callers get `reason`. */
  giveUpStops(reason: Error): void;
  /** Clients that are attached to what is not started yet, for the next daemon. */
  passAttachments(): Map<string, number>;
  continueAttachments(attachments: ReadonlyMap<string, number>): void;
  /** Leaves what has happened to the next daemon, as `close` does: for one that is not closed. */
  storeEvents(): void;
  /** There is no next daemon after all. */
  continueStops(): void;
  /** Nothing begins by itself any more; false where what is being done to containers has not ended in time. */
  settle(timeoutMs: number): Promise<boolean>;
  /**
   * Lets go of everything; containers live on. With `forSuccessor`, so do connections to ports that this process carries,
   * and what is made for containers to come.
   */
  close(forSuccessor?: boolean): Promise<void>;
  /** Goes on with waits of another daemon (takeover/pending-waits.ts). */
  continueWaits(waits: ReadonlyMap<string, number>): void;
  /** Those that have not ended, for one more daemon. */
  passWaits(): Map<string, number>;
  /** Connections to supervisors, by container, on which the next daemon finds how commands have ended meanwhile. */
  passSupervisors(): Map<string, number>;
  /** Of containers that have ended since then, by ID. */
  exitCodes(sinceNs: bigint): Map<string, number>;
  /** Sockets of such connections. */
  carried(): number;
}

const DEFAULT_EXEC_ROOT = '/run/mydock';

/**
 * Opens the data root, takes over what an earlier daemon left, and gives the API's routes. Throws Unavailable where
 * another daemon has the data root. `supervisors`: what `passSupervisors` gave in that daemon.
 */
export async function composeDaemon(
  config: DaemonConfig,
  { remap, security, cgroups, cdi, proxies, host, storage }: Preparation,
  supervisors: ReadonlyMap<string, number> = new Map(),
): Promise<Daemon> {
  makeDirectory(config.dataRoot, 0o711);
  makeDirectory(config.execRoot, 0o711);
  const lock = lockDataRoot(config.dataRoot);
  removeTemporaryFiles(config.dataRoot);
  keepMountsPrivate(join(config.execRoot, 'containers'));
  const database = await inSpan('open', 'database', () =>
    openDatabase(join(config.dataRoot, DATABASE_FILE), MIGRATIONS),
  );
  const apparmor = new DefaultApparmor(host.apparmor ? apparmorHost() : undefined);
  const userNamespaces = new UserNamespaces({ ...config, remap, ranges: new IdRanges(database) });
  if (remap !== undefined) await userNamespaces.require();
  const snapshotter = await inSpan('open', 'storage driver', () => createSnapshotter(config, storage));
  const contentStore = new ContentStore(join(config.dataRoot, 'content'));
  const events = new EventBus();
  const eventsFile = join(config.execRoot, 'events.json');
  events.recall(eventsFile);
  const images = new ImageStore({ database, contentStore, snapshotter, events });
  const steps = new StepCache({ database, images, snapshotter });
  const volumesRoot = join(config.dataRoot, 'volumes');
  const volumes = new VolumeStore({ database, root: volumesRoot, events });
  const transfers = new VolumeTransfers({ store: volumes, root: volumesRoot, events });
  await inSpan('open', 'leftovers', () =>
    Promise.all([snapshotter.sweep(), volumes.sweep().then(() => transfers.sweep())]),
  );
  contentStore.sweep();
  const networks = await inSpan('open', 'networks', () =>
    NetworkManager.open({ ...config, database, instance: instanceName(config.execRoot) }),
  );
  const runtimePath = join(config.execRoot, 'mydock-runtime');
  mountReadOnly(join(libraryDirectory(), 'mydock-runtime'), runtimePath);
  const paths = {
    runtimePath,
    initPath: join(libraryDirectory(), 'mydock-init'),
  };
  const runtimes = configuredRuntimes(config, runtimePath);
  const settings = { ...config, ...paths, security, cgroups, limits: limitDefaults(config) };
  const engine = await inSpan(
    'open',
    'records',
    () =>
      new ContainerEngine({
        runtimes,
        settings,
        database,
        images,
        contentStore,
        snapshotter,
        networks,
        volumes,
        cdi,
        userNamespaces,
        events,
        host,
        apparmor,
      }),
  );
  images.setLayerUsers(function* () {
    for (const { record } of engine.all()) {
      yield* record.layers;
      yield* mountedLayers(record.mounts);
    }
    yield* steps.layers();
  });
  await inSpan('open', 'containers', () => engine.restore(supervisors));
  steps.sweep();
  await images.sweep();
  const registry = {
    mirrors: config.registryMirrors,
    insecureRegistries: config.insecureRegistries,
    maxConcurrentDownloads: config.maxConcurrentDownloads,
    maxDownloadAttempts: config.maxDownloadAttempts,
    maxDownloadBytesPerSec: config.maxDownloadRate,
    pullStale: config.pullStale,
    env: proxies,
  };
  const puller = new Puller({ contentStore, imageStore: images, snapshotter, registry });
  const info = {
    config,
    proxies,
    id: daemonId(config.dataRoot),
    engine,
    images,
    snapshotter,
    events,
    host,
    apparmor,
    runtimes,
    cdiFolders: cdi.folders,
    ...paths,
  };
  const imageBackend = await composeImages({
    config,
    images,
    contentStore,
    snapshotter,
    engine,
    puller,
    registry,
  });
  const build = await composeBuilder({
    config,
    images,
    contentStore,
    snapshotter,
    engine,
    puller,
    pusher: imageBackend,
    registry,
    cache: steps,
    events,
  });
  const disk = {
    ...config,
    cacheEntries: () => build.builder.cacheEntries(),
    engine,
    images,
    snapshotter,
    volumes,
    summarizeImages: () => summarizeImages(imageBackend, { sharedSize: true }),
  };
  const pruner = new VolumePruner(volumes, events);
  const backends: Backends = {
    system: {
      version: () => systemVersion(host),
      info: async () => systemInfo(info, await foreignDrops(networks), await cdi.list()),
      events,
      diskUsage: (wanted) => systemDiskUsage(disk, wanted),
      check: (run) => checkSystem({ database, engine, images, networks, volumes, volumesRoot }, run),
      diagnostics: () =>
        systemDiagnostics({ config, containers: () => engine.all(), listeners: () => events.listeners }),
      login: (auth, signal) => checkCredentials(auth, registry, signal),
    },
    containers: engine,
    exec: engine,
    security: (reference) =>
      containerSecurity(engine.get(reference), {
        ...config,
        networks,
        host,
        apparmor,
        scopedSockets: () => sockets.paths(),
        volumeOptions: (name) => (volumes.has(name) ? (volumes.get(name).Options ?? {}) : {}),
      }),
    images: imageBackend,
    difference: (request) => engine.difference(request),
    build: build.builder,
    networks: composeNetworks({ networks, engine, events }),
    transfers,
    snapshots: new VolumeSnapshots({
      store: volumes,
      events,
      runningUsers: (volume) => runningUsers(engine, volume),
    }),
    volumes: {
      create: (request) => volumes.create(request),
      get: (name) => volumes.get(name),
      list: () => volumes.list(),
      references: (name) => volumes.references(name),
      remove: (name, force) => volumes.remove(name, force),
      prune: (matches, signal) => pruner.prune(matches, signal),
    },
  };
  const sockets = new ScopedSockets({
    table: new SocketTable(database),
    routes: (scope) =>
      audited(
        guardRoutes(
          [
            ...apiRoutes(scopedBackends({ backends, containers: engine, runtimes }, scope)),
            // Only to be refused by name: all of them are the daemon's own socket's.
            ...socketRoutes(sockets),
          ],
          scope,
        ),
      ),
    reserved: [config.dataRoot, config.execRoot],
  });
  const continued = new ContinuedWaits({
    events,
    wait: (id, condition, signal) => engine.wait(id, condition, signal),
  });
  const router = new Router(audited([...apiRoutes(backends), ...socketRoutes(sockets)]));
  return {
    router,
    sockets,
    startByPolicy: () => engine.startByPolicy(),
    giveUpStops: (reason) => engine.giveUpStops(reason),
    passAttachments: () => engine.passAttachments(),
    continueAttachments: (attachments) => {
      for (const [key, fd] of attachments) {
        engine.continueAttachment(key, (head) => adoptHijacked(fd, head));
      }
    },
    storeEvents: () => events.store(eventsFile),
    continueStops: () => engine.continueStops(),
    settle: (timeoutMs) => engine.settle(timeoutMs),
    close: (forSuccessor = false) =>
      close(
        {
          engine,
          networks,
          build,
          snapshotter,
          contentStore,
          database,
          lock,
          runtimePath,
          storeEvents: () => events.store(eventsFile),
        },
        forSuccessor,
      ),
    continueWaits: (waits) => continued.take(waits),
    passWaits: () => continued.pass(),
    passSupervisors: () => engine.passSupervisors(),
    exitCodes: (sinceNs) => exitCodes(events, sinceNs),
    carried: () => networks.carried,
  };
}

interface Closed {
  engine: ContainerEngine;
  networks: NetworkManager;
  build: ComposedBuilder;
  snapshotter: Snapshotter;
  contentStore: ContentStore;
  database: Database;
  lock: number;
  runtimePath: string;
  storeEvents: () => void;
}

/** What fails (a full disk) keeps nobody from the rest: a successor waits for the lock. */
async function close(parts: Closed, forSuccessor: boolean): Promise<void> {
  const ends: (() => Promise<void> | void)[] = [
    () => parts.engine.shutdown(),
    // A successor of this build goes on with it.
    () => (forSuccessor ? undefined : unmountAll(parts.runtimePath)),
    () => parts.networks.close(forSuccessor),
    () => parts.build.close(),
    () => parts.snapshotter.close(),
    () => parts.contentStore.close(),
    () => parts.storeEvents(),
    () => settleDatabase(parts.database),
    // The process may stay, and nothing that it still does may be written beside a successor.
    () => (forSuccessor ? parts.database.close() : undefined),
    () => closeSync(parts.lock),
  ];
  for (const end of ends) {
    try {
      await end();
    } catch (error) {
      log.error({ error: errorMessage(error) }, 'a part of the daemon did not end in order');
    }
  }
}

type RunningUser = { record: ContainerRecord; running: boolean; volumesMounted: boolean };

function runningUsers(engine: ContainerEngine, volume: string): string[] {
  // One that starts has its mounts before it counts as running.
  const uses = ({ record, running, volumesMounted }: RunningUser) =>
    (running || volumesMounted) &&
    record.mounts.some((mount) => mount.type === 'volume' && mount.name === volume);
  return engine
    .all()
    .filter(uses)
    .map(({ id }) => id);
}

function createSnapshotter(
  { dataRoot, execRoot, storageDriver }: DaemonConfig,
  storage: Preparation['storage'],
): Snapshotter {
  keepMountsPrivate(join(execRoot, 'images'));
  return openSnapshotter({ dataRoot, execRoot, driver: storageDriver }, storage);
}

/** One that is not installed is no reason to keep the other containers waiting. */
function configuredRuntimes(config: DaemonConfig, ownPath: string): Runtimes {
  const runtimes = new Runtimes(config, ownPath);
  for (const { name, path } of runtimes.missing()) {
    log.warn({ runtime: name, path }, 'the program of a configured runtime does not exist');
  }
  return runtimes;
}

/** Empty for the system's daemon; others get names of their own for bridge and firewall table. */
function instanceName(execRoot: string): string {
  const path = realpathSync(execRoot);
  return path === DEFAULT_EXEC_ROOT ? '' : createHash('sha256').update(path).digest('hex').slice(0, 6);
}

function daemonId(dataRoot: string): string {
  const path = join(dataRoot, 'id');
  if (!existsSync(path)) writeFileAtomic(path, randomUUID());
  return readFileSync(path, 'utf8').trim();
}
