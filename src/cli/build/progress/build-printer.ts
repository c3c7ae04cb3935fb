/** What shows a build while it goes on. */
import type { BuildStatus } from '../../../api/build-status.ts';
import type { Output } from '../../io.ts';
import type { ProgressMode } from '../build-options.ts';
import type { BuildRecord } from './build-record.ts';

export interface BuildPrinter {
  /** Takes in a status, and shows what has come. */
  status(status: BuildStatus): void;
  /** Nothing more will come: the screen is left as it is to stay. */
  end(): void;
}

export interface PrinterOptions {
  readonly output: Output;
  readonly record: BuildRecord;
  readonly color: boolean;
  now(): number;
}

export async function openPrinter(
  mode: Exclude<ProgressMode, 'auto'>,
  options: PrinterOptions,
): Promise<BuildPrinter> {
  const { output, record } = options;
  switch (mode) {
    case 'tty': {
      const { TerminalPrinter } = await import('./terminal-printer.ts');
      return new TerminalPrinter(options);
    }
    case 'plain': {
      const { PlainPrinter } = await import('./plain-printer.ts');
      return new PlainPrinter(options);
    }
    case 'rawjson':
      return {
        status: (status) => {
          record.take(status);
          output.write(`${JSON.stringify(status)}\n`);
        },
        end: () => {},
      };
    default:
      return { status: (status) => record.take(status), end: () => {} };
  }
}
