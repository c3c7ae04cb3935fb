/** `-e`, `--env-file`, `--label`, `--label-file` and every other `key=value` list. */
import { readInputFile } from './input-file.ts';

type Environment = Record<string, string | undefined>;

/** Variables of the files, then those of the flags; a flag `NAME` without a value takes it from `env`. */
export function environmentOf(
  files: readonly string[],
  flags: readonly string[],
  env: Environment,
): string[] {
  return [...files.flatMap((path) => readEnvFile(path, env)), ...flags.map((flag) => envFlag(flag, env))];
}

/** A bare name that is not set here stays bare: the daemon then removes the image's variable. */
function envFlag(flag: string, env: Environment): string {
  if (flag === '' || flag.startsWith('=')) throw new Error(`invalid environment variable: ${flag}`);
  if (flag.includes('=')) return flag;
  const value = env[flag];
  return value === undefined ? flag : `${flag}=${value}`;
}

/** Lines `NAME=value` (the value verbatim) or `NAME` (from `env`, left out where unset); `#` begins a comment line. */
export function readEnvFile(path: string, env: Environment): string[] {
  const variables: string[] = [];
  for (const line of keyValueLines(path)) {
    const equals = line.indexOf('=');
    const name = equals < 0 ? line : line.slice(0, equals);
    if (name === '') throw new Error(`no variable name on line '${line}'`);
    if (/\s/.test(name.trimStart())) throw new Error(`variable '${name}' contains whitespaces`);
    if (equals >= 0) variables.push(line);
    else if (env[name] !== undefined) variables.push(`${name}=${env[name]}`);
  }
  return variables;
}

/** Labels of files and flags; `key` alone has the empty value, later ones win. */
export function labelsOf(files: readonly string[], flags: readonly string[]): Record<string, string> {
  return keyValueMap([...files.flatMap((path) => [...keyValueLines(path)]), ...flags]);
}

/** `['a=b', 'c']` as `{a: 'b', c: ''}`. */
export function keyValueMap(pairs: readonly string[]): Record<string, string> {
  return Object.fromEntries(pairs.map(splitPair));
}

export function splitPair(pair: string): [key: string, value: string] {
  const equals = pair.indexOf('=');
  return equals < 0 ? [pair, ''] : [pair.slice(0, equals), pair.slice(equals + 1)];
}

function* keyValueLines(path: string): Generator<string> {
  const bytes = readInputFile(path);
  const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  for (const raw of text.split('\n')) {
    const line = raw.replace(/\r$/, '').trimStart();
    if (line !== '' && !line.startsWith('#')) yield line;
  }
}
