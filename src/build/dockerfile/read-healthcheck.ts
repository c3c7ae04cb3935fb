/** HEALTHCHECK. */
import type { HealthcheckInstruction } from './ast.ts';
import { parseDuration } from './duration.ts';
import { Flags } from './flags.ts';
import { type Given, refuse } from './given.ts';
import { parseCommand } from './words.ts';

export function readHealthcheck(given: Given): HealthcheckInstruction {
  const { flags, rest } = given;
  const match = /^(\S+)(?:\s+(.*))?$/s.exec(rest);
  if (match === null) refuse('HEALTHCHECK requires at least one argument');
  const type = (match?.[1] ?? '').toUpperCase();
  const command = parseCommand(match?.[2] ?? '');
  const known = new Flags(flags, {
    interval: 'string',
    timeout: 'string',
    'start-period': 'string',
    'start-interval': 'string',
    retries: 'string',
  });
  if (type === 'NONE' && command.words.length > 0) refuse('HEALTHCHECK NONE takes no arguments');
  if (type !== 'NONE' && type !== 'CMD') refuse(`Unknown type "${type}" in HEALTHCHECK (try CMD)`);
  if (type === 'CMD' && command.words.length === 0) refuse('Missing command after HEALTHCHECK CMD');
  const retries = known.string('retries');
  if (!/^-?\d*$/.test(retries)) refuse(`--retries must be a number, not "${retries}"`);
  if (Number(retries) > 2 ** 31 - 1) refuse(`--retries ${retries} is out of range`);
  if (Number(retries) < 0) refuse(`--retries cannot be negative (${retries})`);
  return {
    ...given.common,
    kind: 'healthcheck',
    type: type === 'NONE' ? 'NONE' : 'CMD',
    command,
    interval: duration(known, 'interval'),
    timeout: duration(known, 'timeout'),
    startPeriod: duration(known, 'start-period'),
    startInterval: duration(known, 'start-interval'),
    retries: Number(retries),
  };
}

/** Nanoseconds. */
function duration(flags: Flags, name: string): number {
  const text = flags.string(name);
  if (text === '') return 0;
  const nanoseconds = parseDuration(text);
  if (nanoseconds === undefined) return refuse(`invalid duration "${text}" of --${name}`);
  if (nanoseconds !== 0 && nanoseconds < 1_000_000) refuse(`Interval "${name}" cannot be less than 1ms`);
  return nanoseconds;
}
