/**
 * Listens to all events and compares them with what clients were told: every acknowledged change has its event, those of
 * one object in the order in which they were acknowledged. What the daemon said in the last moments before it was killed
 * may have been lost on the way.
 */
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type { UnsteadyDaemon } from './unsteady-daemon.ts';

const LOST_BEFORE_KILL_MS = 2000;

interface Told {
  readonly Type: string;
  readonly Action: string;
  readonly Actor: { readonly ID: string };
}

interface Acknowledged {
  readonly action: string;
  readonly atMs: number;
}

export class EventWatch {
  readonly #daemon: UnsteadyDaemon;
  readonly #told = new Map<string, string[]>();
  readonly #acknowledged = new Map<string, Acknowledged[]>();
  #stopped = false;
  #socket: Socket | undefined;
  #running: Promise<void> | undefined;
  count = 0;

  constructor(daemon: UnsteadyDaemon) {
    this.#daemon = daemon;
  }

  /** Resolves when the daemon listens to it. */
  async start(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#running = this.#listen(resolve);
    });
  }

  async stop(): Promise<void> {
    // What was told last may be on its way.
    await sleep(500);
    this.#stopped = true;
    this.#socket?.destroy();
    await this.#running;
  }

  /** A client has heard that it was done. */
  acknowledge(type: string, action: string, id: string): void {
    const key = `${type} ${id}`;
    const list = this.#acknowledged.get(key) ?? [];
    this.#acknowledged.set(key, list);
    list.push({ action, atMs: Date.now() });
  }

  /** What was acknowledged and never told, or not in that order. */
  differences(): string[] {
    return [...this.#acknowledged].flatMap(([key, acknowledged]) => {
      const told = this.#told.get(key) ?? [];
      const steps = acknowledged.map(({ action, atMs }) => ({ action, mayBeLost: this.#nearKill(atMs) }));
      if (isTold(steps, told)) return [];
      const all = steps.map(({ action, mayBeLost }) => (mayBeLost ? `(${action})` : action)).join(', ');
      return [`events of ${key}: acknowledged ${all}; told ${told.join(', ')}`];
    });
  }

  #nearKill(atMs: number): boolean {
    return this.#daemon.killedAtMs.some(
      (killed) =>
        atMs > killed - LOST_BEFORE_KILL_MS && atMs < killed + 30_000 && this.#listensSince(killed) > atMs,
    );
  }

  readonly #listeningAtMs: number[] = [];

  /** When it was listened again after a kill. */
  #listensSince(killedAtMs: number): number {
    return this.#listeningAtMs.find((atMs) => atMs > killedAtMs) ?? Number.POSITIVE_INFINITY;
  }

  async #listen(ready: () => void): Promise<void> {
    while (!this.#stopped) {
      await this.#daemon.up();
      await this.#follow(() => {
        this.#listeningAtMs.push(Date.now());
        ready();
      });
      if (!this.#stopped) await sleep(5);
    }
  }

  /** Resolves when the connection has ended. */
  #follow(ready: () => void): Promise<void> {
    return new Promise((resolve) => {
      const socket = connect(this.#daemon.daemon.socket);
      this.#socket = socket;
      let text = '';
      let isListening = false;
      socket.setEncoding('utf8');
      socket.on('error', () => socket.destroy());
      socket.once('close', () => resolve());
      // From the daemon's start on, which comes before anybody can listen to it again.
      const changedAtMs = Math.max(
        0,
        this.#daemon.killedAtMs.at(-1) ?? 0,
        this.#daemon.takenAtMs.at(-1) ?? 0,
      );
      const since = Math.floor((changedAtMs === 0 ? Date.now() : changedAtMs) / 1000);
      socket.write(`GET /events?since=${since} HTTP/1.0\r\nHost: x\r\n\r\n`);
      socket.on('data', (piece: string) => {
        text += piece;
        if (!isListening) {
          const end = text.indexOf('\r\n\r\n');
          if (end < 0) return;
          text = text.slice(end + 4);
          isListening = true;
          ready();
        }
        const lines = text.split('\n');
        text = lines.pop() ?? '';
        for (const line of lines) this.#hear(line);
      });
    });
  }

  #hear(line: string): void {
    if (!line.startsWith('{')) return;
    const { Type, Action, Actor } = JSON.parse(line) as Told;
    const key = `${Type} ${Actor.ID}`;
    const list = this.#told.get(key) ?? [];
    this.#told.set(key, list);
    list.push(Action.split(':', 1)[0] ?? Action);
    this.count += 1;
  }
}

/** Whether the steps, but for some that may be lost, are among what was told, in their order. */
function isTold(steps: readonly { action: string; mayBeLost: boolean }[], told: readonly string[]): boolean {
  // Where the next event may stand, for every choice of what was lost.
  let places = new Set([0]);
  for (const { action, mayBeLost } of steps) {
    const next = new Set(mayBeLost ? places : []);
    for (const place of places) {
      const found = told.indexOf(action, place);
      if (found >= 0) next.add(found + 1);
    }
    places = next;
  }
  return places.size > 0;
}
