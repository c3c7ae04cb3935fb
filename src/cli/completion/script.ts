/** `mydock completion`: prints the script that teaches a shell to complete mydock's command lines. */
import { CliError } from '../cli-error.ts';
import { defineVerb } from '../verb.ts';
import { COMPLETION_SCRIPTS } from './scripts.ts';

export const completion = defineVerb<Record<string, never>>({
  usage: 'bash|zsh|fish',
  summary: 'Print the completion script for a shell',
  args: { min: 1, max: 1 },
  flags() {},
  async run({ io }, [shell = '']) {
    const script = Object.hasOwn(COMPLETION_SCRIPTS, shell) ? COMPLETION_SCRIPTS[shell] : undefined;
    if (script === undefined) {
      throw new CliError(
        `unknown shell: "${shell}": must be one of ${Object.keys(COMPLETION_SCRIPTS).join(', ')}`,
      );
    }
    io.stdout.write(script);
    return 0;
  },
});
