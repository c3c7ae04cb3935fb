/** Checks of a port of EXPOSE. */
import type { Linter, LintPlace } from './linter.ts';

export function lintPort(port: string, place: LintPlace, linter: Linter): void {
  const parts = port.split(':');
  const [, protocol = ''] = /^[^/]+\/(.*)$/.exec(parts.at(-1) ?? '') ?? [];
  // What is no protocol at all the build refuses.
  if (!['', 'tcp', 'udp', 'sctp'].includes(protocol.toLowerCase())) return;
  if (protocol !== protocol.toLowerCase()) {
    const message = `Defined protocol '${port}' in EXPOSE instruction should be lowercase`;
    linter.run('ExposeProtoCasing', place, message);
  }
  if (parts.slice(0, -1).some((part) => part !== '')) {
    const message = `EXPOSE instruction should not define an IP address or host-port mapping, found '${port}'`;
    linter.run('ExposeInvalidFormat', place, message);
  }
}
