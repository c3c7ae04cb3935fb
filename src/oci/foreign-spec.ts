/**
 * A config.json for runtimes other than ours: what generate.ts writes, in the words that runc 1.1 and crun 1.8 know.
 */
import type { Rlimit, Spec } from './runtime-spec.ts';

/** crun refuses versions that do not begin with 1.0; runc does not look. Nothing that is written needs a later one. */
const FOREIGN_VERSION = '1.0.2';

/** The values of 64 bits that runtimes read as unsigned, and that have no exact number here. */
const UNLIMITED = '18446744073709551615';

/** Returns the text of the file. */
export function foreignSpecText(spec: Spec): string {
  const { domainname, linux, ...others } = spec;
  const sysctl = {
    ...(domainname === undefined ? {} : { 'kernel.domainname': domainname }),
    ...linux?.sysctl,
  };
  const adapted: Spec = {
    ...others,
    ociVersion: FOREIGN_VERSION,
    ...(linux === undefined
      ? {}
      : { linux: { ...linux, ...(Object.keys(sysctl).length === 0 ? {} : { sysctl }) } }),
  };
  return JSON.stringify(adapted, (key, value: unknown) =>
    key === 'rlimits' && Array.isArray(value) ? (value as Rlimit[]).map(unsignedRlimit) : unsigned(value),
  );
}

/** -1 stands for no limit. */
function unsignedRlimit({ type, soft, hard }: Rlimit): unknown {
  const written = (limit: number): unknown => (limit < 0 ? rawJson(UNLIMITED) : limit);
  return { type, soft: written(soft), hard: written(hard) };
}

/** Numbers that were rounded up to 2^64 (arguments of seccomp rules) would be refused as too large. */
function unsigned(value: unknown): unknown {
  return typeof value === 'number' && value >= 2 ** 64 ? rawJson(UNLIMITED) : value;
}

/** JSON.rawJSON(): a number's digits as they are. */
function rawJson(text: string): unknown {
  return (JSON as unknown as { rawJSON(text: string): unknown }).rawJSON(text);
}
