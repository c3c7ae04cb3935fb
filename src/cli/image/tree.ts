/**
 * `mydock images --tree`: every image with the platforms of its index below it, which of them are here, what they take
 * on the disk, and whether a container uses them. Looks as Docker's does: the first column is cut to the terminal, and
 * columns at the right are left out where it is narrow.
 */
import type { ImageManifestSummary, ImageSummary } from '../../api/images.ts';
import { ellipsis, shortId } from '../format/text.ts';
import { humanSize } from '../format/units.ts';
import type { Output } from '../io.ts';

interface Line {
  readonly name: string;
  readonly id: string;
  readonly bytes: number;
  readonly contentBytes: number;
  readonly used: boolean;
}

interface Branch extends Line {
  readonly available: boolean;
}

interface Tree extends Line {
  /** Longest first; the last one stands beside the figures. */
  readonly names: readonly string[];
  readonly branches: readonly Branch[];
}

interface Column {
  readonly title: string;
  readonly width: number;
  readonly right: boolean;
  value(line: Line, style: Style): string;
}

/** Escape sequences around a text; nothing where the output is no terminal. */
type Style = (text: string, ...codes: readonly string[]) => string;

const SPACING = 3;
const MIN_NAME_WIDTH = 12;
const DEFAULT_WIDTH = 80;
const MIN_WIDTH = 20;

const BOLD = '\u001b[1m';
const FAINT = '\u001b[2m';
const BLUE = '\u001b[34m';
const PLAIN = '\u001b[39m';
const YELLOW = '\u001b[93m';
const CYAN = '\u001b[96m';
const BLACK_ON_CYAN = ['\u001b[38;5;0m', '\u001b[48;5;14m'];
const RESET = '\u001b[0m';

const COLUMNS: readonly Column[] = [
  { title: 'ID', width: 12, right: false, value: ({ id }) => shortId(id) },
  { title: 'DISK USAGE', width: 10, right: true, value: ({ bytes }) => humanSize(bytes, 3) },
  { title: 'CONTENT SIZE', width: 12, right: true, value: ({ contentBytes }) => humanSize(contentBytes, 3) },
  { title: 'EXTRA', width: 5, right: false, value: () => '' },
];

/** The text of the whole tree, newest image first. Images without a name are shown where `untagged` says so. */
export function treeText(images: readonly ImageSummary[], output: Output, untagged: boolean): string {
  const isTerminal = output.isTTY === true;
  const style: Style = (text, ...codes) =>
    isTerminal && codes.length > 0 ? `${codes.join('')}${text}${RESET}` : text;
  const width = Math.max(output.columns || DEFAULT_WIDTH, MIN_WIDTH);
  const trees = images
    .filter(({ RepoTags }) => untagged || (RepoTags ?? []).length > 0)
    .toSorted((left, right) => right.Created - left.Created)
    .map(treeOf);
  const { nameWidth, columns } = layOut(trees, width);
  const spaced = trees.some(({ branches }) => branches.length > 0);
  const head = [pad('IMAGE', nameWidth, false, (text) => style(text, PLAIN, BOLD))];
  for (const column of columns) {
    head.push(pad(column.title, column.width, false, (text) => style(text, PLAIN, BOLD)));
  }
  const lines = [
    style(
      "WARNING: This is an experimental feature. The output may change and shouldn't be depended on.",
      YELLOW,
    ),
    legend(width, isTerminal, style),
    '',
    // The last heading is not padded.
    head.join(' '.repeat(SPACING)).trimEnd(),
  ];
  for (const tree of trees) {
    lines.push(...treeLines(tree, { nameWidth, columns, style, width: isTerminal ? width : undefined }));
    if (spaced) lines.push('');
  }
  return lines.map((line) => `${line}\n`).join('');
}

function treeOf(image: ImageSummary): Tree {
  const manifests = (image.Manifests ?? []).filter(({ Kind }) => Kind === 'image');
  const branches = manifests.map(branchOf);
  const names = (image.RepoTags ?? []).toSorted((left, right) => right.length - left.length);
  return {
    names,
    name: names.at(-1) ?? '<untagged>',
    id: image.Id,
    bytes: image.Size,
    contentBytes: manifests.reduce((sum, { Size }) => sum + Size.Content, 0),
    used: image.Containers > 0 || branches.some(({ used }) => used),
    branches,
  };
}

function branchOf({ ID, Available, Size, ImageData }: ImageManifestSummary): Branch {
  const { os = '', architecture = '', variant = '' } = ImageData?.Platform ?? {};
  return {
    name: [os || 'unknown', architecture, variant].filter((part) => part !== '').join('/'),
    id: ID,
    bytes: Size.Total,
    contentBytes: Size.Content,
    used: (ImageData?.Containers ?? []).length > 0,
    available: Available,
  };
}

function layOut(trees: readonly Tree[], width: number): { nameWidth: number; columns: readonly Column[] } {
  let left = width;
  const columns: Column[] = [];
  for (const column of COLUMNS) {
    const needed = column.width + SPACING;
    if (left - needed < MIN_NAME_WIDTH) break;
    left -= needed;
    columns.push(column);
  }
  const widest = trees.flatMap(({ names, name, branches }) => [
    ...[name, ...names].map((text) => [...text].length),
    ...branches.map((branch) => branch.name.length + SPACING),
  ]);
  return { nameWidth: Math.min(left, Math.max('IMAGE'.length, ...widest)), columns };
}

interface Look {
  readonly nameWidth: number;
  readonly columns: readonly Column[];
  readonly style: Style;
  /** Of the terminal; undefined without one. */
  readonly width: number | undefined;
}

function treeLines(tree: Tree, look: Look): string[] {
  const { style, width } = look;
  const above = tree.names.slice(0, -1);
  const nameCodes = tree.names.length === 0 ? [PLAIN, FAINT] : [BLUE, BOLD];
  return [
    ...above.map((name) => style(width === undefined ? name : ellipsis(name, width), ...nameCodes)),
    lineText(tree, look, nameCodes, [PLAIN]),
    ...tree.branches.map((branch, index) => {
      const twig = index === tree.branches.length - 1 ? '└─ ' : '├─ ';
      const codes = branch.available ? [PLAIN] : [PLAIN, FAINT];
      return lineText({ ...branch, name: twig + branch.name }, look, codes, codes);
    }),
  ];
}

function lineText(
  line: Line,
  { nameWidth, columns, style }: Look,
  nameCodes: readonly string[],
  codes: readonly string[],
): string {
  const cells = columns.map((column) =>
    column.title === 'EXTRA'
      ? extraCell(line, column.width, style)
      : pad(column.value(line, style), column.width, column.right, (text) => style(text, ...codes)),
  );
  const name = pad(line.name, nameWidth, false, (text) => style(text, ...nameCodes));
  return [name, ...cells].join(' '.repeat(SPACING));
}

/** The mark of what a container uses stands on a background in terminals, whose edges are spaces. */
function extraCell({ used }: Line, width: number, style: Style): string {
  if (!used) return ' '.repeat(width);
  const mark = style(' U ', ...BLACK_ON_CYAN);
  return mark === ' U ' ? 'U'.padEnd(width) : mark + ' '.repeat(width - 3);
}

function pad(text: string, width: number, right: boolean, styled: (text: string) => string): string {
  const shown = ellipsis(text, width);
  const fill = ' '.repeat(Math.max(width - [...shown].length, 0));
  return right ? fill + styled(shown) : styled(shown) + fill;
}

function legend(width: number, isTerminal: boolean, style: Style): string {
  const plain = isTerminal ? 'i Info →   U  In Use ' : 'Info ->  U In Use ';
  const text = isTerminal
    ? `${style('i', BOLD, '\u001b[106m', '\u001b[30m')} ${style('Info → ', CYAN)} ${style(' U ', ...BLACK_ON_CYAN)} In Use `
    : plain;
  return ' '.repeat(Math.max(width - plain.length, 0)) + text;
}
