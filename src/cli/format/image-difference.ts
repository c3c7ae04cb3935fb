/**
 * The text of `mydock image diff`: packages, files, configuration, each with its count. Names come out of images:
 * whatever a terminal would take for a command is escaped.
 */
import { styleText } from 'node:util';
import type {
  ConfigChange,
  DifferenceSide,
  FileAspect,
  FileChange,
  FileDifference,
  FileState,
  ImageDifference,
  PackageChange,
  PackageDifference,
} from '../../api/image-difference.ts';
import { alignTable } from './table.ts';
import { ellipsis, shortId } from './text.ts';
import { humanSize } from './units.ts';

export interface DifferenceTextOptions {
  /** Lines of a section; 0: all of them, and the files of packages one by one. */
  limit: number;
  color: boolean;
}

const VALUE_LENGTH = 120;
const SIGNS = { added: '+', removed: '-', changed: '~', upgraded: '↑', downgraded: '↓' } as const;
const COLORS = {
  added: 'green',
  removed: 'red',
  changed: 'yellow',
  upgraded: 'cyan',
  downgraded: 'magenta',
} as const;
type Kind = keyof typeof SIGNS;

interface Line {
  kind: Kind;
  /** Without the sign, tabs between the columns. */
  cells: string;
}

/** Ends in a newline. */
export function differenceText(difference: ImageDifference, options: DifferenceTextOptions): string {
  const { From, To, Packages, Files, Config, Notes } = difference;
  const sections = [`${sideLine('-', From)}${sideLine('+', To)}`];
  if (!difference.Equal && !difference.Identical) {
    if (Packages !== undefined) sections.push(packageSection(Packages, options));
    if (Files !== undefined) sections.push(fileSection(Files, options));
    if (Config !== undefined) sections.push(configSection(Config, options));
  }
  if (Notes.length > 0) sections.push(Notes.map((note) => `Note: ${escaped(note)}\n`).join(''));
  sections.push(`${conclusion(difference)}\n`);
  return sections.filter((section) => section !== '').join('\n');
}

function sideLine(sign: string, { Kind, Name, ImageID, ContainerID, Created }: DifferenceSide): string {
  const id = shortId(ContainerID ?? ImageID);
  const name = escaped(Name.replace(/^container:/, ''));
  const created = Created === '' ? '' : `, created ${escaped(Created.slice(0, 19)).replace('T', ' ')}`;
  return `${sign} ${Kind} ${name} (${id}${created})\n`;
}

function conclusion({ Identical, Equal, Packages, Files, Config, From, To }: ImageDifference): string {
  if (Identical) return 'The same, by its ID.';
  if (Equal) {
    const other = From.ImageID === To.ImageID ? '' : '; only their IDs, creation times or histories differ';
    return `Equal in what was compared${other}.`;
  }
  const counts = [
    ...(Packages === undefined ? [] : [counted(Packages.Changes.length, 'package')]),
    ...(Files === undefined ? [] : [counted(Files.Added + Files.Removed + Files.Changed, 'file')]),
    ...(Config === undefined ? [] : [counted(Config.length, 'setting')]),
  ];
  const found = counts.filter((text) => !text.startsWith('0 '));
  if (found.length === 0) return 'No difference was found, but not everything could be compared.';
  return `Different: ${found.join(', ')}.`;
}

function counted(count: number, noun: string): string {
  return `${count.toLocaleString('en-US')} ${noun}${count === 1 ? '' : 's'}`;
}

function section(title: string, lines: readonly Line[], options: DifferenceTextOptions, more = ''): string {
  const shown = options.limit === 0 ? lines : lines.slice(0, options.limit);
  // Aligned without signs and colours, whose codes have no width.
  const texts = alignTable(
    shown.map(({ cells }) => cells),
    0,
  ).split('\n');
  const rows = shown.map(({ kind }, at) => {
    const text = `${SIGNS[kind]} ${(texts[at] ?? '').trimEnd()}`;
    return `  ${options.color ? styleText(COLORS[kind], text, { validateStream: false }) : text}\n`;
  });
  const rest = lines.length - shown.length;
  const cut = rest === 0 ? '' : `  … and ${rest.toLocaleString('en-US')} more (--limit 0 shows all)\n`;
  const heading = options.color ? styleText('bold', title, { validateStream: false }) : title;
  return `${heading}\n${rows.join('')}${cut}${more}`;
}

function packageSection({ Changes }: PackageDifference, options: DifferenceTextOptions): string {
  if (Changes.length === 0) return '';
  const kinds = (['added', 'removed', 'upgraded', 'downgraded', 'changed'] as const)
    .map((kind) => [kind, Changes.filter(({ Kind }) => Kind === kind).length] as const)
    .filter(([, count]) => count > 0)
    .map(([kind, count]) => `${count.toLocaleString('en-US')} ${kind}`);
  return section(`Packages: ${kinds.join(', ')}`, Changes.map(packageLine), options);
}

function packageLine(change: PackageChange): Line {
  const { Manager, Kind, FromVersion, ToVersion, FromArchitecture, ToArchitecture, Path, Files } = change;
  const otherArchitecture =
    FromArchitecture !== undefined && ToArchitecture !== undefined && FromArchitecture !== ToArchitecture;
  const name =
    otherArchitecture || (ToArchitecture ?? FromArchitecture) === undefined
      ? change.Name
      : `${change.Name}:${ToArchitecture ?? FromArchitecture}`;
  const from = otherArchitecture ? `${FromVersion} ${FromArchitecture}` : FromVersion;
  const to = otherArchitecture ? `${ToVersion} ${ToArchitecture}` : ToVersion;
  const version = Kind === 'added' ? to : Kind === 'removed' ? from : `${from} → ${to}`;
  const count = Files.Added + Files.Removed + Files.Changed;
  const files = count === 0 ? '' : `${counted(count, 'file')}${sizeText(Files.SizeChange, ', ')}`;
  const place = Path === undefined ? '' : escaped(Path);
  return { kind: Kind, cells: [Manager, escaped(name), escaped(version), files, place].join('\t') };
}

/** `, +1.2MB`; empty for no change. */
function sizeText(bytes: number, before: string): string {
  if (bytes === 0) return '';
  return `${before}${bytes < 0 ? '-' : '+'}${humanSize(Math.abs(bytes), 3)}`;
}

function fileSection(files: FileDifference, options: DifferenceTextOptions): string {
  const { Changes, Added, Removed, Changed, TimesOnly, SizeChange } = files;
  const times =
    TimesOnly === 0 ? '' : `  ${counted(TimesOnly, 'more file')} with another modification time only\n`;
  if (Changes.length === 0) return times === '' ? '' : `Files: the same\n${times}`;
  const counts = [
    [Added, 'added'],
    [Removed, 'removed'],
    [Changed, 'changed'],
  ] as const;
  const title = counts
    .filter(([count]) => count > 0)
    .map(([count, word]) => `${count.toLocaleString('en-US')} ${word}`)
    .join(', ');
  const own = Changes.filter(({ Package }) => Package === undefined);
  const ofPackages = Changes.length - own.length;
  const more =
    options.limit === 0 || ofPackages === 0 ? '' : `  ${counted(ofPackages, 'file')} of the packages above\n`;
  const listed =
    options.limit === 0 ? [...own, ...Changes.filter(({ Package }) => Package !== undefined)] : own;
  return (
    section(`Files: ${title}${sizeText(SizeChange, ', ')}`, fileLines(listed), options, `${more}${times}`) +
    directoryTable(files)
  );
}

/** A folder that came or went is one line with all that is in it. */
function fileLines(changes: readonly FileChange[]): Line[] {
  const lines: Line[] = [];
  for (let at = 0; at < changes.length; at++) {
    const change = changes[at];
    if (change === undefined) break;
    const below = change.Kind === 'changed' ? 0 : countBelow(changes, at, change);
    if (below === 0) lines.push(fileLine(change));
    else {
      const inside = changes.slice(at + 1, at + 1 + below);
      const bytes = inside.reduce((sum, { From, To }) => sum + ((To ?? From)?.Size ?? 0), 0);
      const sign = change.Kind === 'added' ? 1 : -1;
      const what = `${counted(below, 'entry').replace('entrys', 'entries')}${sizeText(sign * bytes, ', ')}`;
      lines.push({ kind: change.Kind, cells: `${escaped(change.Path)}/\t${what}${packageText(change)}` });
      at += below;
    }
  }
  return lines;
}

/** How many of the changes that follow are of the same kind and package, and lie in this folder. */
function countBelow(changes: readonly FileChange[], at: number, folder: FileChange): number {
  if ((folder.To ?? folder.From)?.Type !== 'directory') return 0;
  let count = 0;
  for (;;) {
    const next = changes[at + 1 + count];
    const isBelow =
      next?.Path.startsWith(`${folder.Path}/`) === true &&
      next.Kind === folder.Kind &&
      next.Package === folder.Package;
    if (!isBelow) return count;
    count++;
  }
}

function fileLine(change: FileChange): Line {
  const { Kind, From, To, Path, Aspects } = change;
  const slash = (To ?? From)?.Type === 'directory' ? '/' : '';
  const what =
    From !== undefined && To !== undefined
      ? (Aspects ?? []).map((aspect) => aspectText(aspect, From, To)).join(', ')
      : oneSideText(To ?? From);
  return { kind: Kind, cells: `${escaped(Path)}${slash}\t${what}${packageText(change)}` };
}

function packageText({ Package }: FileChange): string {
  return Package === undefined ? '' : `\t[${escaped(Package)}]`;
}

function oneSideText(state: FileState | undefined): string {
  if (state === undefined || state.Type === 'directory') return '';
  if (state.Type === 'file') return humanSize(state.Size, 3);
  if (state.Type === 'symlink') return `→ ${escaped(state.Link ?? '')}`;
  return state.Device === undefined ? state.Type : `${state.Type} ${state.Device}`;
}

function aspectText(aspect: FileAspect, from: FileState, to: FileState): string {
  switch (aspect) {
    case 'type':
      return `${from.Type} → ${to.Type}`;
    case 'content':
      return from.Size === to.Size
        ? `content (${humanSize(to.Size, 3)})`
        : `content (${humanSize(from.Size, 3)} → ${humanSize(to.Size, 3)})`;
    case 'mode':
      return `mode ${octal(from.Mode)} → ${octal(to.Mode)}`;
    case 'owner':
      return `owner ${from.Uid}:${from.Gid} → ${to.Uid}:${to.Gid}`;
    case 'link':
      return `link ${escaped(from.Link ?? '')} → ${escaped(to.Link ?? '')}`;
    case 'device':
      return `device ${from.Device} → ${to.Device}`;
    case 'time':
      return `time ${timeText(from.ModTime)} → ${timeText(to.ModTime)}`;
    default:
      return aspect;
  }
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, '0');
}

function timeText(time: string): string {
  return escaped(time.slice(0, 19)).replace('T', ' ');
}

function directoryTable({ Directories }: FileDifference): string {
  if (Directories.length < 2) return '';
  const rows = Directories.map(({ Path, Added, Removed, Changed, SizeChange }) =>
    [`  ${escaped(Path)}`, `+${Added}`, `-${Removed}`, `~${Changed}`, sizeText(SizeChange, '')].join('\t'),
  );
  const lines = alignTable(rows, 0).split('\n');
  return `\nBy folder\n${lines.map((line) => line.trimEnd()).join('\n')}`;
}

function configSection(changes: readonly ConfigChange[], options: DifferenceTextOptions): string {
  if (changes.length === 0) return '';
  return section(`Configuration: ${counted(changes.length, 'setting')}`, changes.map(configLine), options);
}

function configLine({ Field, Key, From, To }: ConfigChange): Line {
  const kind = From === undefined ? 'added' : To === undefined ? 'removed' : 'changed';
  const name = Key === '' ? Field : `${Field} ${escaped(Key)}`;
  const sides = [From, To].filter((value) => value !== undefined).map(valueText);
  return { kind, cells: `${name}\t${sides.join(' → ')}` };
}

/** `{}` says no more than that the key is there. */
function valueText(value: unknown): string {
  if (typeof value === 'string') return value === '' ? '""' : escaped(ellipsis(value, VALUE_LENGTH));
  const text = JSON.stringify(value) ?? '';
  return text === '{}' ? '' : escaped(ellipsis(text, VALUE_LENGTH));
}

/** What moves the cursor, changes the direction of text or does not show is written as its number. */
export function escaped(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}\p{Co}]/gu, (char) => {
    const code = char.codePointAt(0) ?? 0;
    return code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`;
  });
}
