/** What the container routes need of the engine. */
import type {
  ContainerCreateRequest,
  ContainerCreateResponse,
  ContainerInspectResponse,
  ContainerSummary,
} from '../../../api/containers.ts';
import type { Filters } from '../../../api/filters.ts';
import type { HijackedConnection } from '../../hijack.ts';

export interface LogLine {
  stream: 'stdout' | 'stderr';
  time: string;
  text: string;
}

export interface ContainersBackend {
  list(options: { all: boolean; limit: number; filters: Filters }): ContainerSummary[];
  inspect(reference: string): ContainerInspectResponse;
  sizes(reference: string): Promise<{ SizeRw: number; SizeRootFs: number }>;
  create(
    request: ContainerCreateRequest,
    options: { name: string | undefined; platform: string | undefined },
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
  kill(reference: string, signal: string): void;
  remove(reference: string, options: { force: boolean; volumes: boolean }): Promise<void>;
  wait(
    reference: string,
    condition: string,
    signal: AbortSignal,
  ): Promise<{ exitCode: number; error: string }>;
  resize(reference: string, rows: number, cols: number): void;
  attach(
    reference: string,
    connection: HijackedConnection,
    request: { stdin: boolean; stdout: boolean; stderr: boolean; detachKeys: number[]; framed: boolean },
  ): void;
  logs(
    reference: string,
    range: {
      sinceNs?: bigint | undefined;
      untilNs?: bigint | undefined;
      tail?: number | undefined;
      follow: boolean;
    },
    signal: AbortSignal,
  ): AsyncGenerator<LogLine[]>;
}
  clearLogs(reference: string): void;
