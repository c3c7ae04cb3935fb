/**
 * Watches the health of one running container: a probe, its consequences, a pause, and again, until the run ends.
 * Between two probes nothing is held but a timer.
 */
import type { Health, HealthcheckResult } from '../api/containers.ts';
import { errorMessage } from '../base/errors.ts';
import { log } from '../base/log.ts';
import type { Container } from './container.ts';
import type { EngineContext } from './engine-context.ts';
import { runProbe } from './health-probe.ts';
import {
  type HealthTimes,
  healthAfter,
  healthTimes,
  nextProbeMs,
  probeCommand,
  RESTART_UNHEALTHY_LABEL,
  startingHealth,
} from './health-rules.ts';
import { restartDelayMs } from './restart-policy.ts';
import { restartContainer } from './stop.ts';

/**
 * Begins to watch a container that has started; nothing happens where it has no health check. `resumed`: it runs on
 * from an earlier daemon, and its health is what it was.
 */
export function watchHealth(engine: EngineContext, container: Container, resumed = false): void {
  const command = probeCommand(container.record.config);
  if (command === undefined) return;
  if (!resumed || container.record.health === undefined) {
    container.record.health = startingHealth(container.record.health);
    container.save();
  }
  container.healthMonitor?.stop();
  container.healthMonitor = new HealthMonitor(engine, container, command, resumed);
}

/** The run has ended. As with Docker, what does not run counts as unhealthy; no event tells so. */
export function endHealth(container: Container): void {
  container.healthMonitor?.stop();
  container.healthMonitor = undefined;
  if (container.record.health !== undefined) container.record.health.Status = 'unhealthy';
}

export class HealthMonitor {
  readonly #engine: EngineContext;
  readonly #container: Container;
  readonly #command: string[];
  readonly #times: HealthTimes;
  /** When the run began, in performance.now() milliseconds: a clock that is set moves no probe. */
  readonly #begunMs: number;
  #stopped = false;
  #timer: NodeJS.Timeout | undefined;
  #restartTimer: NodeJS.Timeout | undefined;

  constructor(engine: EngineContext, container: Container, command: string[], resumed: boolean) {
    this.#engine = engine;
    this.#container = container;
    this.#command = command;
    this.#times = healthTimes(container.record.config.Healthcheck ?? {});
    const { state } = container.record;
    const startedAtMs = Date.parse('startedAt' in state ? state.startedAt : '') || Date.now();
    this.#begunMs = performance.now() - Math.max(0, Date.now() - startedAtMs);
    // A daemon that comes back to hundreds of containers would ask all of them in the same moment, each time.
    this.#schedule(resumed ? Math.random() : 1);
  }

  /** No probe begins after this, and the result of one that runs is dropped. */
  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#timer);
    this.#restartNoMore();
  }

  get #health(): Health {
    return this.#container.record.health ?? startingHealth(undefined);
  }

  /** `part` of the pause, from 0 to 1. */
  #schedule(part = 1): void {
    if (this.#stopped) return;
    const waitMs = nextProbeMs(this.#health.Status, this.#times, performance.now() - this.#begunMs);
    this.#timer = setTimeout(() => void this.#probe(), waitMs * part);
  }

  async #probe(): Promise<void> {
    try {
      // The processes of a paused container cannot answer: its health stays what it was.
      if (this.#container.record.state.status === 'running') {
        const sinceStartMs = performance.now() - this.#begunMs;
        const result = await runProbe(this.#engine, this.#container, this.#command, this.#times.timeoutMs);
        if (!this.#stopped && this.#container.record.state.status === 'running')
          this.#take(result, sinceStartMs);
      }
    } catch (error) {
      log.error({ container: this.#container.id, error: errorMessage(error) }, 'health check failed');
    }
    this.#schedule();
  }

  #take(result: HealthcheckResult, sinceStartMs: number): void {
    const { record } = this.#container;
    const before = this.#health;
    const health = healthAfter(before, result, this.#times, sinceStartMs);
    record.health = health;
    if (health.Status !== before.Status) {
      this.#container.save();
      this.#engine.events.container(this.#container, `health_status: ${health.Status}`);
    }
    if (health.Status === 'healthy') this.#container.unhealthyDelayMs = 0;
    if (health.Status === 'unhealthy') this.#restartSoon();
    else this.#restartNoMore();
  }

  #restartNoMore(): void {
    clearTimeout(this.#restartTimer);
    this.#restartTimer = undefined;
  }

  /** For containers that ask for it; the delay grows from one restart to the next until the container is healthy. */
  #restartSoon(): void {
    const container = this.#container;
    if (container.record.config.Labels?.[RESTART_UNHEALTHY_LABEL] !== 'true') return;
    if (this.#restartTimer !== undefined) return;
    container.unhealthyDelayMs = restartDelayMs(container.unhealthyDelayMs, 0);
    this.#restartTimer = setTimeout(() => {
      this.#restartTimer = undefined;
      void container.mutex.run(() => this.#restart());
    }, container.unhealthyDelayMs);
  }

  async #restart(): Promise<void> {
    const container = this.#container;
    const wanted = this.#health.Status === 'unhealthy' && container.record.state.status === 'running';
    if (this.#stopped || !wanted || !this.#engine.accepting()) return;
    log.info({ container: container.id }, 'restarts an unhealthy container');
    container.record.restartCount++;
    try {
      await restartContainer(this.#engine, container, {});
    } catch (error) {
      log.error(
        { container: container.id, error: errorMessage(error) },
        'cannot restart an unhealthy container',
      );
    }
  }
}
