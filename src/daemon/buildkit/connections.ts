/** The connections of BuildKit's clients on one socket: their sessions, and the services that they call. */
import type { Socket } from 'node:net';
import { GrpcServices } from '../../api/grpc/server.ts';
import { log } from '../../base/log.ts';
import type { BuildBackend } from '../routes/build/backend.ts';
import { addBridge } from './bridge.ts';
import { BuildHistory } from './build-history.ts';
import { BuildJobs } from './build-jobs.ts';
import { BuildResults } from './build-results.ts';
import { addControl } from './control.ts';
import { addHistory } from './history-service.ts';
import { type SessionHeaders, SessionRegistry } from './session/session-registry.ts';
import { TraceBuilds } from './trace-build.ts';

export class BuildkitConnections {
  readonly sessions = new SessionRegistry();
  readonly jobs = new BuildJobs();
  readonly traces: TraceBuilds;
  readonly #services = new GrpcServices(
    (call, { code, message }) => log.debug({ call, code, error: message }, 'call failed'),
    // By which clients tell for how long a build has been running.
    () => ({ 'buildkit-current-timestamp': new Date().toISOString() }),
  );

  constructor(backend: BuildBackend) {
    const history = new BuildHistory();
    const parts = { backend, sessions: this.sessions, jobs: this.jobs, results: new BuildResults(), history };
    this.traces = new TraceBuilds(parts);
    addControl(this.#services, parts);
    addBridge(this.#services, parts);
    addHistory(this.#services, history);
  }

  /** Throws where no such session can be opened; `takeOver` gives the connection, which is the session's from then on. */
  async session(headers: SessionHeaders, takeOver: () => Promise<Socket>): Promise<void> {
    this.sessions.requireNew(headers);
    this.sessions.add(headers, await takeOver());
  }

  async serve(takeOver: () => Promise<Socket>): Promise<void> {
    this.#services.serve(await takeOver());
  }
}
