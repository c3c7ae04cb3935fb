/** What the exec routes need of the engine. */
import type { ExecCreateRequest, ExecInspectResponse, ExecStartRequest } from '../../../api/exec.ts';
import type { HijackedConnection } from '../../hijack.ts';

export interface ExecBackend {
  createExec(reference: string, request: ExecCreateRequest): string;
  /** Throws where the exec cannot start. */
  checkExec(id: string): { tty: boolean };
  startExec(id: string, start: ExecStartRequest, connection: HijackedConnection | null): Promise<void>;
  resizeExec(id: string, rows: number, cols: number): void;
  inspectExec(id: string): ExecInspectResponse;
}
