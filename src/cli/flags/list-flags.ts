/** The flags that verbs with rows of output share. */

import { parseFilter } from '../options/filter.ts';
import { parsedListFlag, stringFlag } from './declare.ts';
import type { FlagTable } from './flag-table.ts';

/** `-f, --filter`. */
export function filterFlag(command: FlagTable): void {
  parsedListFlag(command, '-f, --filter <filter>', 'Show only what matches (name=value)', parseFilter);
}

/** `--format` for rows. */
export function rowFormatFlag(command: FlagTable): void {
  stringFlag(command, '--format <string>', 'Output as "table", "table TEMPLATE", "json" or a Go template');
}
