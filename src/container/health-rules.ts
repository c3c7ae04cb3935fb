/**
 * Docker's rules for health checks: what is run, when, and what its result makes of the container. Pure; running is
 * health-probe.ts, the clock health-monitor.ts.
 */
import type { ContainerConfig, Health, HealthConfig, HealthcheckResult } from '../api/containers.ts';
import { LONGEST_TIMER_MS } from '../base/longest-timer.ts';

export { RESTART_UNHEALTHY_LABEL } from '../api/containers.ts';

const NANOSECONDS_PER_MS = 1_000_000;
const DEFAULT_INTERVAL_MS = 30_000;
const DEFAULT_TIMEOUT_MS = 30_000;
const DEFAULT_START_INTERVAL_MS = 5_000;
const DEFAULT_RETRIES = 3;
const RESULTS_KEPT = 5;

export interface HealthTimes {
  intervalMs: number;
  timeoutMs: number;
  startPeriodMs: number;
  startIntervalMs: number;
  retries: number;
}

/** With Docker's defaults for what is absent or 0. What a timer is set for is no longer than one can be. */
export function healthTimes(check: HealthConfig): HealthTimes {
  const ms = (ns: number | undefined, fallback: number): number => (ns ? ns / NANOSECONDS_PER_MS : fallback);
  const timerMs = (ns: number | undefined, fallback: number): number =>
    Math.min(ms(ns, fallback), LONGEST_TIMER_MS);
  return {
    intervalMs: timerMs(check.Interval, DEFAULT_INTERVAL_MS),
    timeoutMs: timerMs(check.Timeout, DEFAULT_TIMEOUT_MS),
    startPeriodMs: ms(check.StartPeriod, 0),
    startIntervalMs: timerMs(check.StartInterval, DEFAULT_START_INTERVAL_MS),
    retries: check.Retries || DEFAULT_RETRIES,
  };
}

/** The command to run: undefined where there is none (`NONE`, nothing, or a kind that nobody knows). */
export function probeCommand(config: ContainerConfig): string[] | undefined {
  const [kind, ...words] = config.Healthcheck?.Test ?? [];
  if (words.length === 0) return undefined;
  if (kind === 'CMD') return words;
  if (kind !== 'CMD-SHELL') return undefined;
  const shell = (config.Shell ?? []).length === 0 ? ['/bin/sh', '-c'] : (config.Shell ?? []);
  return [...shell, ...words];
}

/** The image's check with what the request says in its place, field by field; a request's `NONE` wins. */
export function mergeHealthcheck(
  request: HealthConfig | null | undefined,
  image: HealthConfig | null | undefined,
): HealthConfig | undefined {
  if (!image) return request ?? undefined;
  if (!request) return image;
  const merged: HealthConfig = { ...request };
  if ((request.Test ?? []).length === 0) merged.Test = image.Test ?? [];
  for (const field of ['Interval', 'Timeout', 'StartPeriod', 'StartInterval', 'Retries'] as const) {
    const value = request[field] || image[field];
    if (value) merged[field] = value;
  }
  return merged;
}

/** The health of a container that has just started: results of the run before stay to be seen. */
export function startingHealth(before: Health | undefined): Health {
  return { Status: 'starting', FailingStreak: 0, Log: before?.Log ?? [] };
}

/** The health after a probe that began `sinceStartMs` after the container's start. */
export function healthAfter(
  before: Health,
  result: HealthcheckResult,
  times: HealthTimes,
  sinceStartMs: number,
): Health {
  const Log = [...(before.Log ?? []), result].slice(-RESULTS_KEPT);
  if (result.ExitCode === 0) return { Status: 'healthy', FailingStreak: 0, Log };
  // Failures do not count while a container that was never healthy may still be starting.
  if (before.Status === 'starting' && sinceStartMs < times.startPeriodMs) return { ...before, Log };
  const FailingStreak = before.FailingStreak + 1;
  return { Status: FailingStreak >= times.retries ? 'unhealthy' : before.Status, FailingStreak, Log };
}

/** Milliseconds from one probe to the next: shorter while the container may still be starting. */
export function nextProbeMs(status: Health['Status'], times: HealthTimes, sinceStartMs: number): number {
  const starting = status === 'starting' && sinceStartMs < times.startPeriodMs;
  return starting ? times.startIntervalMs : times.intervalMs;
}
