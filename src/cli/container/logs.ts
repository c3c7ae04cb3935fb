/** `mydock logs`. */
import type { Client } from '../../client/client.ts';
import { CliError } from '../cli-error.ts';
import { boolFlag, stringFlag } from '../flags/declare.ts';
import type { Io } from '../io.ts';
import { timeFlag } from '../options/time-flag.ts';
import { copyOutput } from '../terminal/stream-copy.ts';
import { defineVerb } from '../verb.ts';
import { containerPath, inspectContainer } from './lookup.ts';

export interface LogsOptions {
  clear: boolean;
  details: boolean;
  follow: boolean;
  since?: string;
  tail: string;
  timestamps: boolean;
  until?: string;
}

export const logs = defineVerb<LogsOptions>({
  usage: '[OPTIONS] CONTAINER',
  summary: "Show a container's output",
  args: { min: 1, max: 1 },
  flags(command) {
    boolFlag(command, '--clear', 'Remove what was logged so far; show nothing');
    boolFlag(command, '--details', 'Show the attributes that log options added');
    boolFlag(command, '-f, --follow', 'Go on with what is still written');
    stringFlag(command, '--since <string>', 'From this time on (RFC 3339, or "42m" for 42 minutes ago)');
    stringFlag(command, '-n, --tail <string>', 'Only this many lines from the end', 'all');
    boolFlag(command, '-t, --timestamps', 'Show the time of each line');
    stringFlag(command, '--until <string>', 'Up to this time');
  },
  run: ({ client, io }, [name = ''], options) => runLogs(client, io, name, options),
});

export async function runLogs(client: Client, io: Io, name: string, options: LogsOptions): Promise<number> {
  if (options.clear) {
    if (options.follow) throw new CliError('conflicting options: cannot specify both --clear and --follow');
    await client.json('DELETE', containerPath(name, '/logs'));
    return 0;
  }
  const container = await inspectContainer(client, name);
  const response = await client.stream('GET', containerPath(container.Id, '/logs'), {
    query: {
      stdout: true,
      stderr: true,
      since: timeFlag('since', options.since, io.now()),
      until: timeFlag('until', options.until, io.now()),
      timestamps: options.timestamps ? true : undefined,
      follow: options.follow ? true : undefined,
      details: options.details ? true : undefined,
      tail: options.tail,
    },
  });
  await copyOutput(response, io.stdout, io.stderr, container.Config.Tty === true);
  return 0;
}
