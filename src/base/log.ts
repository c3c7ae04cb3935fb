/**
 * The process's logger (pino, JSON lines on stderr). Modules take a child of it; errors are logged once, where they
 * are handled.
 */
import { pino } from 'pino';

export type Logger = pino.Logger;

/** Docker's level names are accepted beside pino's. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;

/** Shared by the whole process; `log.level` is set by the daemon once its configuration is read (default `info`). */
export const log: Logger = pino(
  { level: 'info', base: null, timestamp: pino.stdTimeFunctions.isoTime, messageKey: 'msg' },
  pino.destination({ fd: 2, sync: true }),
);
