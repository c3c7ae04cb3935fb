/**
 * Fails where an import in src/ runs against the architecture: base, api <- events <- native, oci, image <- network, volume,
 * container, build <- daemon, and api <- client <- cli. Folders of one rank may import each other; `base` and `api`
 * import nothing above themselves. Prints each wrong arrow as file:line.
 *
 * The client imports no package when it is needed: in the chunks that it is split into, packages of the old module form
 * then have their names below `default` alone. A module of its own that imports the package can be imported so.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';

const SOURCE = resolve(import.meta.dirname, '../../src');

const FOUNDATION = ['base', 'api'];
const PARTS = [...FOUNDATION, 'events', 'native', 'oci', 'image'];
const ENGINE = [...PARTS, 'network', 'volume', 'container', 'build'];

/** What each folder of src/ may import, itself left out. A folder that is missing here fails the check. */
const ALLOWED: Record<string, readonly string[]> = {
  base: [],
  api: ['base'],
  events: FOUNDATION,
  native: PARTS,
  oci: PARTS,
  image: PARTS,
  network: ENGINE,
  volume: ENGINE,
  container: ENGINE,
  build: ENGINE,
  daemon: ENGINE,
  client: FOUNDATION,
  cli: [...FOUNDATION, 'client'],
};

const IMPORT = /(?:\bfrom\s*|\bimport\s*\(?\s*)(['"])(\.{1,2}\/[^'"]+)\1/g;

interface Arrow {
  readonly place: string;
  readonly from: string;
  readonly to: string;
}

function arrowsOf(file: string): Arrow[] {
  const text = readFileSync(file, 'utf8');
  const from = relative(SOURCE, file).split('/')[0] ?? '';
  const arrows: Arrow[] = [];
  for (const match of text.matchAll(IMPORT)) {
    const target = relative(SOURCE, resolve(dirname(file), match[2] ?? ''));
    const line = text.slice(0, match.index).split('\n').length;
    arrows.push({ place: `src/${relative(SOURCE, file)}:${line}`, from, to: target.split('/')[0] ?? '' });
  }
  return arrows;
}

/** The one file outside of src/ that may be imported, by base alone: it has the version. */
const MANIFEST = '..';

function judge({ from, to }: Arrow): string | undefined {
  if (from === to || (from === 'base' && to === MANIFEST)) return undefined;
  const allowed = ALLOWED[from];
  if (allowed === undefined) return `src/${from} has no place in the order of imports`;
  return allowed.includes(to) ? undefined : `src/${from} must not import src/${to}`;
}

const LATE_PACKAGE = /\bimport\(\s*(['"])(?!node:|\.)([^'"]+)\1/g;

function latePackages(file: string): string[] {
  const name = relative(SOURCE, file);
  if (!/^(cli|client)\//.test(name)) return [];
  const text = readFileSync(file, 'utf8');
  return [...text.matchAll(LATE_PACKAGE)].map(
    ({ index, 2: found }) =>
      `src/${name}:${text.slice(0, index).split('\n').length}: package ${found} must not be imported late`,
  );
}

const files = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' }).filter((name) =>
  name.endsWith('.ts'),
);
const arrows = files
  .flatMap((name) => arrowsOf(join(SOURCE, name)))
  .flatMap((arrow) => {
    const problem = judge(arrow);
    return problem === undefined ? [] : [`${arrow.place}: ${problem}`];
  });
const wrong = [...arrows, ...files.flatMap((name) => latePackages(join(SOURCE, name)))];
for (const line of wrong) console.error(line);
console.log(`imports: ${files.length} files, ${wrong.length} wrong`);
process.exitCode = wrong.length === 0 ? 0 : 1;
