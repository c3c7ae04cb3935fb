/** `frontend.lint` (`--check`): what the linter found, and what the build would fail with. */
import { formatExcerpt } from '../../../api/source-excerpt.ts';
import type { BuildWarning } from '../../progress.ts';
import type { DockerfileSource } from '../errors.ts';
import { answerOf, locationOf, type SubrequestAnswer } from './answer.ts';

export interface LintAnswerInput {
  file: { name: string; content: string };
  warnings: readonly BuildWarning[];
  /** Without a place where it has none. */
  error?: { message: string; source: DockerfileSource | undefined };
}

export function lintAnswer({ file, warnings, error }: LintAnswerInput): SubrequestAnswer {
  const found = warnings.filter(({ rule }) => rule !== '').sort((a, b) => lineOf(a) - lineOf(b));
  const json = {
    // As Go writes a list that nothing was put into.
    warnings: found.length === 0 ? null : found.map(jsonOf),
    sources: [
      { filename: file.name, data: Buffer.from(file.content).toString('base64'), language: 'Dockerfile' },
    ],
    ...(error === undefined ? {} : { buildError: errorJson(error) }),
  };
  const failed = found.length > 0 || error !== undefined;
  return answerOf(json, found.map(textOf).join(''), { 'result.statuscode': failed ? '1' : '0' });
}

function lineOf({ range }: BuildWarning): number {
  return range?.start.line ?? 0;
}

function jsonOf({ rule, description, url, message, range }: BuildWarning): unknown {
  return {
    ruleName: rule,
    ...(description === undefined ? {} : { description }),
    ...(url === undefined ? {} : { url }),
    detail: message,
    location: range === undefined ? {} : locationOf(range),
  };
}

function errorJson({ message, source }: { message: string; source: DockerfileSource | undefined }): unknown {
  return { message, location: source === undefined ? {} : locationOf(source.range) };
}

function textOf({ rule, url, message, source, range }: BuildWarning): string {
  const head = `\nWARNING: ${rule}${url === undefined ? '' : ` - ${url}`}\n${message}\n`;
  return source === undefined || range === undefined ? head : head + formatExcerpt({ ...source, range });
}
