/** How a verb ends other than well: a message for stderr and the exit code that the process reports. */

/** Ends the program with `exitCode` after `message` was written to stderr; an empty message writes nothing. */
export class CliError extends Error {
  readonly exitCode: number;

  constructor(message: string, exitCode = 1) {
    super(message);
    this.name = 'CliError';
    this.exitCode = exitCode;
  }
}

/** A flag that does not exist, lacks its value, or has one that cannot be read. */
export class FlagError extends CliError {
  constructor(message: string) {
    super(message, 125);
    this.name = 'FlagError';
  }
}
