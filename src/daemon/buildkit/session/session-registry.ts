/**
 * The sessions that clients have opened, by the IDs that they chose. A build may name one that is still on its way, and
 * waits a little for it. Each socket of the daemon has a registry of its own, so that no client reaches another's
 * secrets through a scoped socket.
 */
import type { Duplex } from 'node:stream';
import { Health, HealthCheckResponse_ServingStatus } from '../../../api/buildkit/health_pb.ts';
import { GrpcChannel } from '../../../api/grpc/channel.ts';
import { GrpcError } from '../../../api/grpc/status.ts';
import {
  ConflictError,
  errorMessage,
  InvalidParameterError,
  UnavailableError,
} from '../../../base/errors.ts';
import { log } from '../../../base/log.ts';
import { Arrivals } from '../arrivals.ts';
import { ClientSession } from './client-session.ts';

const SESSIONS_MAX = 500;
const WAIT_MAX_MS = 5_000;
const HEALTH_INTERVAL_MS = 10_000;
const HEALTH_ANSWER_MAX_MS = 30_000;
/** Checks in a row that a client may leave unanswered: its machine may be busy, or asleep for a moment. */
const HEALTH_FAILURES_MAX = 2;

export interface SessionHeaders {
  id: string;
  sharedKey: string;
  methods: readonly string[];
}

export class SessionRegistry {
  readonly #sessions = new Map<string, ClientSession>();
  readonly #arrivals = new Arrivals();

  /** Throws where a session of these headers cannot be opened: before the connection is taken out of HTTP. */
  requireNew({ id }: SessionHeaders): void {
    if (!/^[\x21-\x7e]{1,200}$/.test(id)) {
      throw new InvalidParameterError(`invalid session ID "${id}" in X-Docker-Expose-Session-Uuid`);
    }
    if (this.#sessions.has(id)) throw new ConflictError(`session ${id} already exists`);
    if (this.#sessions.size >= SESSIONS_MAX) {
      throw new UnavailableError(`there are ${SESSIONS_MAX} sessions of clients already`);
    }
  }

  /** Serves the session until its connection ends. */
  add(headers: SessionHeaders, connection: Duplex): ClientSession {
    this.requireNew(headers);
    const { id, sharedKey, methods } = headers;
    const session = new ClientSession(id, sharedKey, methods, watched(connection));
    this.#sessions.set(id, session);
    session.closed.addEventListener('abort', () => {
      if (this.#sessions.get(id) === session) this.#sessions.delete(id);
    });
    this.#arrivals.announce();
    return session;
  }

  /** The session, once it is there. Throws InvalidParameter where it does not come within a few seconds. */
  async get(name: string, signal: AbortSignal): Promise<ClientSession> {
    // Clients put what tells their contexts apart in front of it.
    const id = name.slice(name.indexOf(':') + 1) || name;
    const session = await this.#arrivals.find(() => this.#sessions.get(id), WAIT_MAX_MS, signal);
    if (session === undefined) throw new InvalidParameterError(`no active session for ${id}`);
    return session;
  }
}

/** A connection whose client has stopped answering is closed, and everything that waits for it rejects. */
function watched(connection: Duplex): GrpcChannel {
  const channel = new GrpcChannel(connection);
  let failures = 0;
  let asking = false;
  const check = async (): Promise<void> => {
    if (asking) return;
    asking = true;
    try {
      const signal = AbortSignal.timeout(HEALTH_ANSWER_MAX_MS);
      const { status } = await channel.unary(Health.method.check, {}, { signal });
      failures = status === HealthCheckResponse_ServingStatus.NOT_SERVING ? failures + 1 : 0;
    } catch (error) {
      // Clients that know nothing of health checks answer as well.
      failures = error instanceof GrpcError && error.code !== 'Unavailable' ? 0 : failures + 1;
      if (failures >= HEALTH_FAILURES_MAX && !channel.closed.aborted) {
        log.info({ error: errorMessage(error) }, 'the client of a session does not answer any more');
      }
    }
    asking = false;
    if (failures >= HEALTH_FAILURES_MAX) channel.close();
  };
  const timer = setInterval(() => void check(), HEALTH_INTERVAL_MS);
  timer.unref();
  channel.closed.addEventListener('abort', () => clearInterval(timer));
  return channel;
}
