/** The flags that stand before the verb. */
import { boolFlag, optionalBoolFlag, stringFlag } from './flags/declare.ts';
import { FlagTable } from './flags/flag-table.ts';

export interface GlobalOptions {
  host?: string;
  tls?: boolean;
  tlsverify?: boolean;
  tlscacert?: string;
  tlscert?: string;
  tlskey?: string;
  config?: string;
  context?: string;
  debug?: boolean;
  logLevel?: string;
  trace?: string;
  version: boolean;
}

export function globalFlags(): FlagTable {
  const program = new FlagTable();
  stringFlag(program, '--config <string>', 'Folder of the client configuration');
  stringFlag(program, '-c, --context <string>', 'Only "default" is known: -H names a daemon');
  boolFlag(program, '-D, --debug', 'Accepted for compatibility');
  stringFlag(program, '-H, --host <string>', 'Daemon to talk to');
  stringFlag(program, '-l, --log-level <string>', 'Accepted for compatibility');
  optionalBoolFlag(program, '--tls', 'Use TLS');
  stringFlag(program, '--tlscacert <string>', 'Trust certificates signed by this CA');
  stringFlag(program, '--tlscert <string>', 'TLS certificate of this client');
  stringFlag(program, '--tlskey <string>', 'TLS key of this client');
  optionalBoolFlag(program, '--tlsverify', "Use TLS and verify the daemon's certificate");
  stringFlag(program, '--trace <file>', 'Write where the time goes, as Chrome trace events');
  boolFlag(program, '-v, --version', 'Print the version and end');
  return program;
}
