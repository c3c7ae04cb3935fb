/**
 * Which checks count, and what they found. A file says it in `# check=skip=A,B;error=true;experimental=all`, an
 * instruction in a comment above it, and the build argument BUILDKIT_DOCKERFILE_CHECK instead of the file.
 */
import { InvalidParameterError } from '../../../base/errors.ts';
import { readDirectives } from '../directives.ts';
import { LINT_RULES, type RuleName } from './rules.ts';

export interface LintOptions {
  skipAll: boolean;
  skip: ReadonlySet<string>;
  experimentalAll: boolean;
  experimental: ReadonlySet<string>;
  /** Findings fail the build. */
  error: boolean;
}

/** Lines of the Dockerfile, counted from 1. */
export interface LintPlace {
  line: number;
  endLine: number;
}

export interface LintWarning {
  rule: RuleName;
  message: string;
  place: LintPlace;
}

/** Throws InvalidParameter for what is no option. */
export function parseLintOptions(text: string): LintOptions {
  let [skip, experimental]: Set<string>[] = [new Set<string>(), new Set<string>()];
  let error = false;
  for (const part of text.trim() === '' ? [] : text.trim().split(';')) {
    const at = part.indexOf('=');
    if (at < 0) throw new InvalidParameterError(`invalid check option ${JSON.stringify(part)}`);
    const key = part.slice(0, at).trim();
    const value = part.slice(at + 1).trim();
    const names = new Set(value.split(',').map((name) => name.trim()));
    if (key === 'skip') skip = names;
    else if (key === 'experimental') experimental = names;
    else if (key === 'error') error = booleanOf(value, part);
    else throw new InvalidParameterError(`invalid check option ${JSON.stringify(key)}`);
  }
  return {
    skipAll: skip?.size === 1 && skip.has('all'),
    skip: skip ?? new Set(),
    experimentalAll: experimental?.size === 1 && experimental.has('all'),
    experimental: experimental ?? new Set(),
    error,
  };
}

function booleanOf(value: string, part: string): boolean {
  if (['1', 't', 'T', 'TRUE', 'true', 'True'].includes(value)) return true;
  if (['0', 'f', 'F', 'FALSE', 'false', 'False'].includes(value)) return false;
  throw new InvalidParameterError(
    `failed to parse check option ${JSON.stringify(part)}: expected true or false`,
  );
}

/** What a comment above an instruction sets aside; undefined where it says nothing, or nothing that can be read. */
function commentOptions(comments: readonly string[]): LintOptions | undefined {
  for (const comment of comments) {
    const [directive] = readDirectives([comment], '');
    if (directive?.name !== 'check') continue;
    try {
      return parseLintOptions(directive.value.split(' ', 1)[0] ?? '');
    } catch {
      // A comment is not an error.
      return undefined;
    }
  }
  return undefined;
}

export class Linter {
  readonly #options: LintOptions;
  readonly #report: (warning: LintWarning) => void;
  readonly #violated: Set<RuleName>;

  constructor(options: LintOptions, report: (warning: LintWarning) => void, violated = new Set<RuleName>()) {
    this.#options = options;
    this.#report = report;
    this.#violated = violated;
  }

  /** For one instruction, with what the comments above it say; findings count for the whole. */
  within(comments: readonly string[]): Linter {
    const other = commentOptions(comments);
    if (other === undefined) return this;
    const own = this.#options;
    const merged: LintOptions = {
      skipAll: own.skipAll || other.skipAll,
      skip: new Set([...own.skip, ...other.skip]),
      experimentalAll: own.experimentalAll || other.experimentalAll,
      experimental: new Set([...own.experimental, ...other.experimental]),
      error: own.error,
    };
    return new Linter(merged, this.#report, this.#violated);
  }

  run(rule: RuleName, { line, endLine }: LintPlace, message: string): void {
    const { skipAll, skip, experimentalAll, experimental } = this.#options;
    const counts =
      LINT_RULES[rule].experimental === true
        ? experimentalAll || experimental.has(rule)
        : !skipAll && !skip.has(rule);
    if (!counts) return;
    this.#violated.add(rule);
    this.#report({ rule, message, place: { line, endLine } });
  }

  /** Whether the file wants findings to fail the build. */
  get failsBuild(): boolean {
    return this.#options.error;
  }

  /** Throws InvalidParameter where findings fail the build and there are some. */
  check(): void {
    if (!this.#options.error || this.#violated.size === 0) return;
    throw new InvalidParameterError(
      `lint violation found for rules: ${[...this.#violated].sort().join(', ')}`,
    );
  }
}
