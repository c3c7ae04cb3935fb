/** What the daemon says about its own process (`GET /system/diagnostics`). */
import { readdirSync } from 'node:fs';
import { getHeapSpaceStatistics } from 'node:v8';
import type { SystemDiagnostics } from '../api/diagnostics.ts';
import { MYDOCK_VERSION } from '../base/version.ts';
import type { DaemonConfig } from './config.ts';
import { requestDiagnostics } from './request-log.ts';

export const REDACTED = 'redacted';
const US_PER_S = 1e6;

/** Values of these may hold passwords, or name people: proxies, options of log drivers, labels, mirrors. */
const SECRET_FIELDS = ['httpProxy', 'httpsProxy', 'logOpts', 'labels', 'registryMirrors'] as const;

export interface DiagnosticsParts {
  config: DaemonConfig;
  containers(): { record: { state: { status: string } } }[];
  listeners(): number;
}

/** Of the event loop's time since the last call, the part that it was busy. */
let before = performance.eventLoopUtilization();

export function systemDiagnostics(parts: DiagnosticsParts): SystemDiagnostics {
  const { user, system } = process.cpuUsage();
  const now = performance.eventLoopUtilization();
  const busy = performance.eventLoopUtilization(now, before).utilization;
  before = now;
  const spaces = getHeapSpaceStatistics();
  return {
    Version: MYDOCK_VERSION,
    NodeVersion: process.version,
    Pid: process.pid,
    UptimeSeconds: process.uptime(),
    Memory: { ...process.memoryUsage() },
    HeapSpaces: Object.fromEntries(spaces.map((one) => [one.space_name, one.space_used_size])),
    Resources: counts(process.getActiveResourcesInfo()),
    Descriptors: readdirSync('/proc/self/fd').length,
    CpuSeconds: { User: user / US_PER_S, System: system / US_PER_S },
    LoopBusy: busy,
    EventListeners: parts.listeners(),
    Containers: counts(parts.containers().map(({ record }) => record.state.status)),
    Requests: requestDiagnostics(),
    Configuration: publicConfiguration(parts.config),
  };
}

export function publicConfiguration(config: DaemonConfig): Record<string, unknown> {
  const shown: Record<string, unknown> = { ...config };
  for (const field of SECRET_FIELDS) {
    const value = config[field];
    const empty = typeof value === 'string' ? value === '' : Object.keys(value).length === 0;
    if (!empty) shown[field] = REDACTED;
  }
  return shown;
}

function counts(words: readonly string[]): Record<string, number> {
  const found: Record<string, number> = {};
  for (const word of words) found[word] = (found[word] ?? 0) + 1;
  return found;
}
