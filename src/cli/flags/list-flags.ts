/** The flags that verbs with rows of output share. */
import type { Command } from 'commander';
import { parseFilter } from '../options/filter.ts';
import { parsedListFlag, stringFlag } from './declare.ts';

/** `-f, --filter`. */
export function filterFlag(command: Command): void {
  parsedListFlag(command, '-f, --filter <filter>', 'Show only what matches (name=value)', parseFilter);
}

/** `--format` for rows. */
export function rowFormatFlag(command: Command): void {
  stringFlag(command, '--format <string>', 'Output as "table", "table TEMPLATE", "json" or a Go template');
}
