/**
 * Fails on a link in README.md or docs/ that leads nowhere: a relative path that is not in the tree, or a `#heading`
 * that its document does not have. Also on a `src/...`, `native/...` or `test/...` path in backquotes that is gone.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const ROOT = resolve(import.meta.dirname, '../..');

const LINK = /\[[^\]]*\]\(([^)\s]+)\)/g;
const QUOTED_PATH = /`((?:src|native|test|docs)\/[\w./-]+)`/g;

/** GitHub's anchor of a heading: lower case, punctuation dropped, spaces to hyphens. */
function anchor(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');
}

function anchors(file: string): Set<string> {
  const headings = readFileSync(file, 'utf8').matchAll(/^#{1,6}\s+(.+)$/gm);
  return new Set([...headings].map((match) => anchor(match[1] ?? '')));
}

function problemOfLink(file: string, target: string): string | undefined {
  if (/^[a-z]+:/.test(target)) return undefined;
  const [path = '', fragment] = target.split('#');
  const full = path === '' ? file : resolve(dirname(file), path);
  if (!existsSync(full)) return `no such file: ${target}`;
  if (fragment !== undefined && full.endsWith('.md') && !anchors(full).has(fragment)) {
    return `no such heading: ${target}`;
  }
  return undefined;
}

function problems(file: string): string[] {
  const text = readFileSync(file, 'utf8');
  const found: string[] = [];
  const report = (index: number, problem: string): void => {
    found.push(`${relative(ROOT, file)}:${text.slice(0, index).split('\n').length}: ${problem}`);
  };
  for (const match of text.matchAll(LINK)) {
    const problem = problemOfLink(file, match[1] ?? '');
    if (problem !== undefined) report(match.index, problem);
  }
  for (const match of text.matchAll(QUOTED_PATH)) {
    if (!existsSync(join(ROOT, match[1] ?? ''))) report(match.index, `no such file: ${match[1]}`);
  }
  return found;
}

const documents = readdirSync(join(ROOT, 'docs'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.md'))
  .map((name) => join(ROOT, 'docs', name));
if (existsSync(join(ROOT, 'README.md'))) documents.push(join(ROOT, 'README.md'));

const broken = documents.flatMap(problems);
for (const line of broken) console.error(line);
console.log(`links: ${documents.length} documents, ${broken.length} broken links`);
process.exitCode = broken.length === 0 ? 0 : 1;
