/**
 * The order of the versions of npm's packages (Semantic Versioning 2.0.0, section 11) and of Python's (the version
 * specifiers of packaging.python.org). Versions that do not follow the rules have no order.
 */
import { compareDigits } from './debian-version.ts';

const SEMVER = /^v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/;

/** Negative where `a` is older than `b`. Build metadata does not count. */
export function compareNpmVersions(a: string, b: string): number | undefined {
  const left = SEMVER.exec(a);
  const right = SEMVER.exec(b);
  if (left === null || right === null) return undefined;
  for (const part of [1, 2, 3]) {
    const order = compareDigits(left[part] ?? '', right[part] ?? '');
    if (order !== 0) return order;
  }
  return comparePrereleases(left[4], right[4]);
}

function comparePrereleases(a: string | undefined, b: string | undefined): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined);
  const [left, right] = [a.split('.'), b.split('.')];
  for (let at = 0; at < Math.min(left.length, right.length); at++) {
    const order = compareIdentifiers(left[at] ?? '', right[at] ?? '');
    if (order !== 0) return order;
  }
  return left.length - right.length;
}

function compareIdentifiers(a: string, b: string): number {
  const [left, right] = [/^\d+$/.test(a), /^\d+$/.test(b)];
  if (left && right) return compareDigits(a, b);
  if (left !== right) return left ? -1 : 1;
  return compareText(a, b);
}

const PYTHON =
  /^v?(?:(\d+)!)?(\d+(?:\.\d+)*)(?:[-_.]?(a|b|c|rc|alpha|beta|pre|preview)[-_.]?(\d*))?(?:-(\d+)|[-_.]?(?:post|rev|r)[-_.]?(\d*))?([-_.]?dev[-_.]?(\d*))?(?:\+([a-z0-9]+(?:[-_.][a-z0-9]+)*))?$/;
const STAGES: Readonly<Record<string, number>> = {
  a: 0,
  alpha: 0,
  b: 1,
  beta: 1,
  c: 2,
  rc: 2,
  pre: 2,
  preview: 2,
};
const RELEASE = 3;
/** A development release of a final one comes before its first alpha. */
const DEVELOPMENT = -1;

interface PythonVersion {
  epoch: string;
  numbers: string[];
  stage: number;
  stageNumber: string;
  /** Undefined: none, which is older than any. */
  post: string | undefined;
  /** Undefined: none, which is newer than any. */
  development: string | undefined;
  local: string[];
}

/** Negative where `a` is older than `b`. */
export function comparePythonVersions(a: string, b: string): number | undefined {
  const left = parsePython(a);
  const right = parsePython(b);
  if (left === undefined || right === undefined) return undefined;
  return (
    compareDigits(left.epoch, right.epoch) ||
    compareLists(left.numbers, right.numbers, compareDigits) ||
    left.stage - right.stage ||
    compareDigits(left.stageNumber, right.stageNumber) ||
    compareOptional(left.post, right.post, -1) ||
    compareOptional(left.development, right.development, 1) ||
    compareLists(left.local, right.local, compareLocal)
  );
}

function parsePython(text: string): PythonVersion | undefined {
  const found = PYTHON.exec(text.trim().toLowerCase());
  if (found === null) return undefined;
  const [, epoch = '', numbers = '', stage, stageNumber = '', implicit, post, dev, number = '', local] =
    found;
  const isPost = implicit !== undefined || post !== undefined;
  const early = dev !== undefined && stage === undefined && !isPost;
  return {
    epoch,
    numbers: numbers.split('.').reduceRight<string[]>(dropZeros, []),
    stage: stage === undefined ? (early ? DEVELOPMENT : RELEASE) : (STAGES[stage] ?? RELEASE),
    stageNumber,
    post: isPost ? (implicit ?? post ?? '') : undefined,
    development: dev === undefined ? undefined : number,
    local: local === undefined ? [] : local.split(/[-_.]/),
  };
}

/** 1.0 and 1 are one version. */
function dropZeros(numbers: string[], number: string): string[] {
  return numbers.length === 0 && /^0*$/.test(number) ? numbers : [number, ...numbers];
}

/** A missing number is older (-1) or newer (1) than any. */
function compareOptional(a: string | undefined, b: string | undefined, missing: -1 | 1): number {
  if (a !== undefined && b !== undefined) return compareDigits(a, b);
  return missing * (Number(a === undefined) - Number(b === undefined));
}

function compareLists(
  a: readonly string[],
  b: readonly string[],
  compare: (x: string, y: string) => number,
): number {
  for (let at = 0; at < Math.max(a.length, b.length); at++) {
    const order = compare(a[at] ?? '', b[at] ?? '');
    if (order !== 0) return order;
  }
  return 0;
}

/** Parts of a local version: none, then words, then numbers. */
function compareLocal(a: string, b: string): number {
  const [left, right] = [localRank(a), localRank(b)];
  if (left !== right) return left - right;
  return left === 2 ? compareDigits(a, b) : compareText(a, b);
}

function localRank(part: string): number {
  if (part === '') return 0;
  return /^\d+$/.test(part) ? 2 : 1;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}
