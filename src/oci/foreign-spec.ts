/**
 * A config.json for runtimes other than ours: what generate.ts writes, in the words that runc 1.1 and crun 1.8 know.
 */
import { statSync } from 'node:fs';
import type { Mount, RawNumber, Rlimit, Spec } from './runtime-spec.ts';

/** crun refuses versions that do not begin with 1.0; runc does not look. Nothing that is written needs a later one. */
const FOREIGN_VERSION = '1.0.2';

/** 2^64-1, which a double does not hold. */
const UNLIMITED = (JSON as unknown as { rawJSON(text: string): RawNumber }).rawJSON('18446744073709551615');

/** Returns the text of the file. Looks at the sources of bind mounts. */
export function foreignSpecText(spec: Spec): string {
  const { domainname, linux, mounts, ...others } = spec;
  const sysctl = {
    ...(domainname === undefined ? {} : { 'kernel.domainname': domainname }),
    ...linux?.sysctl,
  };
  const adapted: Spec = {
    ...others,
    ociVersion: FOREIGN_VERSION,
    ...(mounts === undefined ? {} : { mounts: mounts.map(withoutRecursion) }),
    ...(linux === undefined
      ? {}
      : { linux: { ...linux, ...(Object.keys(sysctl).length === 0 ? {} : { sysctl }) } }),
  };
  return JSON.stringify(adapted, (key, value: unknown) =>
    key === 'rlimits' && Array.isArray(value) ? (value as Rlimit[]).map(unsignedRlimit) : value,
  );
}

/** crun 1.8 fails at a file that is to be read-only with all below it, of which there is nothing. */
function withoutRecursion(mount: Mount): Mount {
  const { options = [], source = '' } = mount;
  if (!options.includes('rro') || statSync(source, { throwIfNoEntry: false })?.isDirectory() !== false)
    return mount;
  return { ...mount, options: options.map((option) => (option === 'rro' ? 'ro' : option)) };
}

/** -1 stands for no limit. */
function unsignedRlimit({ type, soft, hard }: Rlimit): unknown {
  const written = (limit: number): unknown => (limit < 0 ? UNLIMITED : limit);
  return { type, soft: written(soft), hard: written(hard) };
}
