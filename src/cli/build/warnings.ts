/** Warnings of a build: a list under its progress, or with the Dockerfile's lines for `--check`. */
import type { BuildVertexWarning } from '../../api/build-status.ts';
import { formatExcerpt } from '../../api/source-excerpt.ts';
import { printableText } from '../format/text.ts';

/** Empty without warnings. */
export function warningList(warnings: readonly BuildVertexWarning[]): string {
  if (warnings.length === 0) return '';
  const rows = warnings.map((warning) => {
    return ` - ${text(warning.short)}\n`;
  });
  const count = `${warnings.length} warning${warnings.length === 1 ? '' : 's'}`;
  return printableText(`\n ${count} found (use --check to expand):\n${rows.join('')}`);
}

/** What `--check` prints. */
export function checkReport(warnings: readonly BuildVertexWarning[]): string {
  if (warnings.length === 0) return 'Check complete, no warnings found.\n';
  const head =
    warnings.length === 1
      ? 'Check complete, 1 warning has been found!'
      : `Check complete, ${warnings.length} warnings have been found!`;
  return printableText(`${head}\n${warnings.map(expanded).join('')}`);
}

function expanded(warning: BuildVertexWarning): string {
  const [, rule = '', message = ''] =
    /^(?:([A-Za-z]+): )?([\s\S]*?)(?: \(line \d+\))?$/.exec(text(warning.short)) ?? [];
  const title = [rule === '' ? message : rule, ...(warning.url ? [warning.url] : [])].join(' - ');
  const about = rule === '' ? [] : [message];
  const detail = about.length > 0 ? about : (warning.detail ?? []).map(text);
  return [`\nWARNING: ${title}`, ...detail, ''].join('\n') + excerpt(warning);
}

function excerpt({ sourceInfo, range }: BuildVertexWarning): string {
  const [first] = range ?? [];
  if (sourceInfo === undefined || first === undefined) return '';
  return formatExcerpt({ filename: sourceInfo.filename, content: text(sourceInfo.data), range: first });
}

function text(base64: string): string {
  return Buffer.from(base64, 'base64').toString();
}
