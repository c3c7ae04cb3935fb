/** What the operations on containers work with; made once by the daemon. */
import type { Database } from '../base/database.ts';
import type { EventBus } from '../events/event-bus.ts';
import type { Snapshotter } from '../image/layers/snapshotter.ts';
import type { ContentStore } from '../image/store/content-store.ts';
import type { ImageStore } from '../image/store/image-store.ts';
import type { EventMessage } from '../native/supervisor-protocol.ts';
import type { Networking } from '../network/model.ts';
import type { CdiRegistry } from '../oci/cdi/registry.ts';
import type { CgroupSettings } from '../oci/cgroup-path.ts';
import type { SecurityDefaults } from '../oci/generate.ts';
import type { HostFacts } from '../oci/host-facts.ts';
import type { VolumeStore } from '../volume/volume-store.ts';
import type { Container } from './container.ts';
import type { ContainerSet } from './container-set.ts';
import type { DefaultApparmor } from './default-apparmor.ts';
import type { LimitDefaults } from './limit-defaults.ts';
import type { Runtimes } from './runtimes.ts';
import type { UserNamespaces } from './user-namespace.ts';

export interface EngineSettings {
  dataRoot: string;
  execRoot: string;
  /** Absolute paths of mydock-runtime and of the program that `--init` runs. */
  runtimePath: string;
  initPath: string;
  /** Daemon-wide defaults, each overridden by a container's own. */
  dns: string[];
  dnsSearch: string[];
  dnsOptions: string[];
  init: boolean;
  /** Log driver of containers that name none, and the options of that driver. */
  logDriver: string;
  logOpts: Record<string, string>;
  /** Of containers that say nothing themselves. */
  security: SecurityDefaults;
  limits: LimitDefaults;
  /** Who makes their cgroups, and below which. */
  cgroups: CgroupSettings;
  /** `strict`: the host's input rules decide who reaches published ports. */
  firewall: 'default' | 'strict';
}

export interface EngineContext {
  settings: EngineSettings;
  database: Database;
  images: ImageStore;
  contentStore: Pick<ContentStore, 'ingestFile'>;
  snapshotter: Snapshotter;
  networks: Networking;
  runtimes: Runtimes;
  volumes: VolumeStore;
  cdi: CdiRegistry;
  userNamespaces: UserNamespaces;
  containers: ContainerSet;
  events: EventBus;
  host: HostFacts;
  apparmor: DefaultApparmor;
  /** True once what an earlier daemon left is in order; before that nothing is restarted by a timer. */
  restored(): boolean;
  /** False once the daemon shuts down: nothing is restarted then. */
  accepting(): boolean;
  /** Aborted where stops that wait are left to the next daemon (`record.ending`), with the error of their callers. */
  stopsGivenUp(): AbortSignal;
  /** What a container's supervisor has told the daemon before this one, which had no more time to hear it. */
  unheard(containerId: string): EventMessage[];
  /** What follows the end of a run of `ranMs` (after-run.ts): a restart, or removal for `--rm`. */
  afterRun(container: Container, ranMs: number): void;
}
