/** `GET /system/diagnostics` (mydock's own): how the daemon's process is doing. Nothing in it is secret. */

export interface RequestDiagnostics {
  Answered: number;
  /** At most 50; `UnderWayCount` counts all. */
  UnderWay: { Method: string; Path: string; Milliseconds: number }[];
  UnderWayCount: number;
  /** The last 50 that took half a second or more, waits and streams among them. */
  Slow: { Method: string; Path: string; Milliseconds: number; Ended: string }[];
}

export interface SystemDiagnostics {
  Version: string;
  NodeVersion: string;
  Pid: number;
  UptimeSeconds: number;
  /** Bytes, as process.memoryUsage() has them. */
  Memory: Record<string, number>;
  /** Bytes by V8 heap space. */
  HeapSpaces: Record<string, number>;
  /** What keeps the event loop going, by kind. */
  Resources: Record<string, number>;
  Descriptors: number;
  CpuSeconds: { User: number; System: number };
  /** The part of the time since the last request for this that the event loop was busy: 0 to 1. */
  LoopBusy: number;
  EventListeners: number;
  Containers: Record<string, number>;
  Requests: RequestDiagnostics;
  /** The configuration in force; what may be secret is `redacted`. */
  Configuration: Record<string, unknown>;
}
