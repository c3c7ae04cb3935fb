/** `-v`/`--volume` and `--tmpfs`. */
import { resolve } from 'node:path';

export interface VolumeFlags {
  /** `source:target[:options]`. */
  readonly binds: string[];
  /** Targets of anonymous volumes. */
  readonly anonymous: Record<string, Record<string, never>>;
}

/** Sources that begin with a dot are taken relative to `cwd`; the daemon checks the rest. */
export function volumeFlags(specs: readonly string[], cwd: string): VolumeFlags {
  const binds: string[] = [];
  const anonymous: Record<string, Record<string, never>> = {};
  for (const spec of specs) {
    const colon = spec.indexOf(':');
    if (spec === '') throw new Error('invalid empty volume spec');
    if (colon < 0) anonymous[spec] = {};
    else if (spec.split(':').includes(''))
      throw new Error(`invalid spec: ${spec}: empty section between colons`);
    else binds.push(spec.startsWith('.') ? resolve(cwd, spec.slice(0, colon)) + spec.slice(colon) : spec);
  }
  return { binds, anonymous };
}

/** `/run:size=64m,mode=755` to `{'/run': 'size=64m,mode=755'}`. */
export function tmpfsFlags(specs: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    specs.map((spec) => {
      const colon = spec.indexOf(':');
      return colon < 0 ? [spec, ''] : [spec.slice(0, colon), spec.slice(colon + 1)];
    }),
  );
}
