/** What the container routes need of the engine. */
import type { Readable } from 'node:stream';
import type {
  ContainerConfig,
  ContainerCreateRequest,
  ContainerCreateResponse,
  ContainerInspectResponse,
  ContainerPathStat,
  ContainerPruneResponse,
  ContainerSummary,
  ContainerTopResponse,
  EgressState,
  FilesystemChange,
} from '../../../api/containers.ts';
import type { Filters } from '../../../api/filters.ts';
import type { HostConfig, Resources } from '../../../api/host-config.ts';
import type { ContainerStats } from '../../../api/stats.ts';
import type { LogCursor } from '../../../container/log-reader.ts';
import type { HijackedConnection } from '../../hijack.ts';

export interface LogLine {
  stream: 'stdout' | 'stderr';
  time: string;
  text: string;
  attributes?: Record<string, string>;
}

/** Takes a tar piece by piece; resolves when it wants more. */
type TarSinkFunction = (chunk: Buffer) => Promise<void>;

export interface ContainerFilesBackend {
  stat(reference: string, path: string): Promise<ContainerPathStat>;
  copyOut(
    reference: string,
    path: string,
    begin: (stat: ContainerPathStat) => TarSinkFunction,
    signal: AbortSignal,
  ): Promise<void>;
  copyIn(
    reference: string,
    options: { path: string; noOverwriteDirNonDir: boolean; copyOwner: boolean },
    archive: Readable,
    signal: AbortSignal,
  ): Promise<void>;
  export(reference: string, begin: () => TarSinkFunction, signal: AbortSignal): Promise<void>;
  changes(reference: string): Promise<FilesystemChange[]>;
  commit(
    reference: string,
    request: {
      repository: string;
      tag: string;
      comment: string;
      author: string;
      pause: boolean;
      changes: readonly string[];
      config: ContainerConfig | undefined;
    },
    signal: AbortSignal,
  ): Promise<string>;
}

export interface ContainersBackend {
  list(options: { all: boolean; limit: number; filters: Filters }): ContainerSummary[];
  inspect(reference: string): ContainerInspectResponse;
  /** Undefined where nothing restricts what may leave the container, or it does not run. */
  egress(reference: string): Promise<EgressState | undefined>;
  sizes(reference: string): Promise<{ SizeRw: number; SizeRootFs: number }>;
  create(
    request: ContainerCreateRequest,
    options: { name: string | undefined; platform: string | undefined; apiVersion: string },
  ): Promise<ContainerCreateResponse>;
  start(reference: string): Promise<void>;
  stop(
    reference: string,
    options: { timeoutSec: number | undefined; signal: string | undefined },
  ): Promise<void>;
  restart(
    reference: string,
    options: { timeoutSec: number | undefined; signal: string | undefined },
  ): Promise<void>;
  kill(reference: string, signal: string): Promise<void>;
  remove(reference: string, options: { force: boolean; volumes: boolean }): Promise<void>;
  wait(
    reference: string,
    condition: string,
    signal: AbortSignal,
  ): Promise<{ exitCode: number; error: string }>;
  /** By a link's name, `PARENT/ALIAS`. */
  removeLink(reference: string): void;
  pause(reference: string): Promise<void>;
  unpause(reference: string): void;
  rename(reference: string, name: string): Promise<void>;
  update(reference: string, request: Resources & Pick<HostConfig, 'RestartPolicy'>): Promise<string[]>;
  /** Specifications as in `PublishedPortsUpdate`. All or nothing. */
  changePorts(
    reference: string,
    request: { add: readonly string[]; remove: readonly string[] },
  ): Promise<void>;
  top(reference: string, psArgs: string): Promise<ContainerTopResponse>;
  stats(
    reference: string,
    options: { stream: boolean; oneShot: boolean; before?: ContainerStats | undefined },
    signal: AbortSignal,
  ): AsyncGenerator<ContainerStats>;
  prune(filters: Filters, signal: AbortSignal): Promise<ContainerPruneResponse>;
  files: ContainerFilesBackend;
  resize(reference: string, rows: number, cols: number): void;
  attach(
    reference: string,
    connection: HijackedConnection,
    request: { stdin: boolean; stdout: boolean; stderr: boolean; detachKeys: number[]; framed: boolean },
  ): void;
  clearLogs(reference: string): void;
  logs(
    reference: string,
    range: {
      sinceNs?: bigint | undefined;
      untilNs?: bigint | undefined;
      tail?: number | undefined;
      follow: boolean;
      cursor?: LogCursor | undefined;
    },
    signal: AbortSignal,
  ): AsyncGenerator<LogLine[]>;
}
