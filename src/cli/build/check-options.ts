/** What flags of a build mean together, judged before the daemon is asked. */
import { CliError } from '../cli-error.ts';
import type { Io } from '../io.ts';
import { type BuildOptions, type ProgressMode, parseProgress } from './build-options.ts';
import { isCheck, isQuestion } from './build-query.ts';

/** Throws CliError for flags that contradict each other. */
export function checkOptions(options: BuildOptions, io: Io): void {
  const { onError, verify, watch, quiet, lock, locked, output, push } = options;
  const { builder = 'default' } = options;
  const refuse = (text: string): never => {
    throw new CliError(text);
  };
  if (builder !== 'default' && builder !== '')
    refuse(`no builder "${builder}" found: there is one, "default"`);
  if (onError !== undefined && !(io.stdin.isTTY === true && io.stdout.isTTY === true)) {
    refuse('--on-error shell needs a terminal: stdin and stdout must be one');
  }
  const attestations = askedAttestations(options);
  if (attestations.length > 0) {
    refuse(`Attestations are not supported: ${attestations.join(', ')} (false turns them off)`);
  }
  if (quiet && options.progress !== undefined && options.progress !== 'quiet') {
    refuse(`progress=${options.progress} and quiet cannot be used together`);
  }
  if (lock && locked)
    refuse('--lock and --locked cannot be used together: one writes what the other forbids');
  if ((isCheck(options) || isQuestion(options)) && (verify || watch || push)) {
    refuse('--check and --call build nothing: they cannot be used with --verify, --watch or --push');
  }
  if (verify && watch) refuse('--verify and --watch cannot be used together');
  if (
    verify &&
    output.some(({ type, dest }) => type !== 'image' && !(type === 'docker' && dest === undefined))
  ) {
    refuse('--verify compares images: it cannot be used with outputs that are none');
  }
  if (verify && options.platform.join(',').includes(',')) refuse('--verify compares images of one platform');
}

/** `true` or `false` as Go reads them; anything else are attributes of an attestation that is asked for. */
const OFF = /^(0|f|F|false|False|FALSE)$/;

/** Flags that ask for attestations, which are not made; those that turn them off ask for none. */
function askedAttestations({ attest, provenance, sbom }: BuildOptions): string[] {
  const on = (value: string): boolean =>
    value !== '' && !OFF.test(value) && !/(^|,)disabled=true(,|$)/.test(value);
  return [
    ...attest.filter(on).map((value) => `--attest ${value}`),
    ...(provenance !== undefined && on(provenance) ? [`--provenance=${provenance}`] : []),
    ...(sbom !== undefined && on(sbom) ? [`--sbom=${sbom}`] : []),
  ];
}

/** How progress is shown: the flag, `BUILDKIT_PROGRESS`, or what stderr is. */
export function progressMode(options: BuildOptions, io: Io): Exclude<ProgressMode, 'auto'> {
  if (options.quiet) return 'quiet';
  const asked = options.progress ?? fromEnvironment(io.env['BUILDKIT_PROGRESS']);
  if (asked !== 'auto') return asked;
  return io.stderr.isTTY === true && io.env['TERM'] !== 'dumb' ? 'tty' : 'plain';
}

function fromEnvironment(value: string | undefined): ProgressMode {
  if (value === undefined || value === '') return 'auto';
  try {
    return parseProgress(value);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new CliError(`invalid value "${value}" of BUILDKIT_PROGRESS: ${reason}`);
  }
}
