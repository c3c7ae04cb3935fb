/**
 * The answer to `frontend.lint` (`docker buildx build --check`), from the warnings of a build: the JSON that clients
 * read and the text that they show otherwise.
 */
import type { BuildVertexWarning } from '../../api/build-status.ts';
import { sourceRange } from './status-messages.ts';

/** Of the request, as clients compare it. */
const VERSION = '1.0.0';

export function lintResult(warnings: readonly BuildVertexWarning[]): Record<string, Uint8Array> {
  const sources: { filename: string; language: string; data: string }[] = [];
  const sourceIndex = ({ filename, data }: { filename: string; data: string }): number => {
    const at = sources.findIndex((source) => source.filename === filename && source.data === data);
    return at >= 0 ? at : sources.push({ filename, language: 'Dockerfile', data }) - 1;
  };
  const found = warnings.map((warning) => {
    const { ruleName, detail } = named(warning);
    const location =
      warning.sourceInfo === undefined
        ? {}
        : { sourceIndex: sourceIndex(warning.sourceInfo), ranges: (warning.range ?? []).map(sourceRange) };
    const url = warning.url === undefined ? {} : { url: warning.url };
    const description = (warning.detail ?? []).map(text).join('\n');
    return { ruleName, description, ...url, detail, location };
  });
  const body = { warnings: found, sources };
  return {
    'result.json': Buffer.from(JSON.stringify(body)),
    'result.txt': Buffer.from(found.map(({ ruleName, detail }) => `${ruleName}: ${detail}\n`).join('')),
    'result.statuscode': Buffer.from(found.length === 0 ? '0' : '1'),
    version: Buffer.from(VERSION),
  };
}

/** A warning's line is `Rule: what is wrong (line 3)`. */
function named({ short }: BuildVertexWarning): { ruleName: string; detail: string } {
  const line = text(short);
  const [, ruleName = '', detail = line] = /^([A-Z]\w+): (.*)$/s.exec(line) ?? [];
  return { ruleName, detail: detail.replace(/ \(line \d+\)$/, '') };
}

function text(base64: string): string {
  return Buffer.from(base64, 'base64').toString();
}
