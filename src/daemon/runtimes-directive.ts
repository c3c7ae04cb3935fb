/** How `--add-runtime` and the key `runtimes` of the configuration file are read (Docker's daemon.json). */
import { InvalidParameterError } from '../base/errors.ts';
import type { RuntimeConfig } from '../container/runtimes.ts';

/** `NAME=PATH` texts, or `{"NAME": {"path": "PATH", "runtimeArgs": []}}`. `where` names the flag or the key. */
export function readRuntimes(value: unknown, where: string): Record<string, RuntimeConfig> | undefined {
  if (Array.isArray(value)) return Object.fromEntries(value.map((item) => readFlag(item, where)));
  if (typeof value !== 'object' || value === null) return undefined;
  return Object.fromEntries(
    Object.entries(value).map(([name, entry]) => [name, readEntry(name, entry, where)]),
  );
}

function readFlag(value: unknown, where: string): [string, RuntimeConfig] {
  const [name = '', path = ''] = String(value).split(/=(.*)/s, 2);
  if (name === '' || path === '') {
    throw new InvalidParameterError(
      `${where}: invalid runtime argument ${JSON.stringify(value)}: expected NAME=PATH`,
    );
  }
  return [name, { path, runtimeArgs: [] }];
}

function readEntry(name: string, entry: unknown, where: string): RuntimeConfig {
  const refuse = (why: string): never => {
    throw new InvalidParameterError(`${where}: runtime "${name}": ${why}`);
  };
  if (typeof entry !== 'object' || entry === null) return refuse('expected an object');
  const { path, runtimeArgs, ...others } = entry as Record<string, unknown>;
  // containerd's shims are programs with a protocol of their own, of which only the OCI runtime below can be run.
  for (const key of ['runtimeType', 'options']) {
    if (key in others)
      return refuse(`"${key}" names a containerd shim, which cannot be run: give the runtime's "path"`);
  }
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return refuse(`unknown key "${unknown}"`);
  if (typeof path !== 'string' || path === '') return refuse('"path" is not a text');
  const args = runtimeArgs ?? [];
  if (!Array.isArray(args) || !args.every((arg) => typeof arg === 'string')) {
    return refuse('"runtimeArgs" is not a list of texts');
  }
  return { path, runtimeArgs: args };
}
