/**
 * Platforms (`linux/arm/v7`): parsing, normalisation, and which offered platforms a machine can run, best first.
 * The rules are those that Docker and containerd apply: an amd64 v3 machine runs v2 and v1 images and then 386
 * ones, an arm v7 machine runs v6 and v5 ones (OCI image-index, "platform").
 */
import { readFileSync } from 'node:fs';
import { InvalidParameterError } from '../base/errors.ts';

export interface Platform {
  os: string;
  architecture: string;
  variant?: string;
}

const KNOWN_OS = new Set(
  'aix android darwin dragonfly freebsd illumos ios js linux netbsd openbsd plan9 solaris wasip1 windows'.split(
    ' ',
  ),
);
const KNOWN_ARCHITECTURES = new Set(
  '386 amd64 arm arm64 loong64 mips mipsle mips64 mips64le ppc64 ppc64le riscv64 s390x wasm'.split(' '),
);
const COMPONENT = /^[A-Za-z0-9_.-]+$/;

const NODE_ARCHITECTURES: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  arm64: 'arm64',
  arm: 'arm',
};

/** Go's names for an architecture that may be spelled in other ways, and its variant without redundancy. */
function normalizeArchitecture(architecture: string, variant: string): [string, string] {
  const arch = architecture.toLowerCase();
  const v = variant.toLowerCase();
  switch (arch) {
    case 'i386':
      return ['386', ''];
    case 'x86_64':
    case 'x86-64':
    case 'amd64':
      return ['amd64', v === 'v1' ? '' : v];
    case 'aarch64':
    case 'arm64':
      return ['arm64', v === '8' || v === 'v8' ? '' : v];
    case 'armhf':
      return ['arm', 'v7'];
    case 'armel':
      return ['arm', 'v6'];
    case 'arm':
      if (v === '' || v === '7') return ['arm', 'v7'];
      return ['arm', /^[568]$/.test(v) ? `v${v}` : v];
    default:
      return [arch, v];
  }
}

function makePlatform(os: string, architecture: string, variant: string): Platform {
  return { os, architecture, ...(variant === '' ? {} : { variant }) };
}

/** The same platform in one spelling. */
export function normalizePlatform(platform: Platform): Platform {
  const os = platform.os.toLowerCase() === 'macos' ? 'darwin' : platform.os.toLowerCase();
  const [architecture, variant] = normalizeArchitecture(platform.architecture, platform.variant ?? '');
  return makePlatform(os, architecture, variant);
}

/**
 * Parses `os/arch[/variant]`, or one of `os` and `arch` alone, the other being the machine's. A part that cannot be
 * one fails with InvalidParameter.
 */
export function parsePlatform(text: string, host: Platform = hostPlatform()): Platform {
  const parts = text.split('/');
  if (parts.length > 3 || parts.some((part) => !COMPONENT.test(part))) {
    throw new InvalidParameterError(
      `"${text}" is an invalid platform: expected "os/architecture" or "os/architecture/variant"`,
    );
  }
  const [first = '', second, third = ''] = parts;
  if (second === undefined) return parseSingle(first, text, host);
  const os = normalizePlatform({ os: first, architecture: second }).os;
  const [architecture, variant] = normalizeArchitecture(second, third);
  if (third === '' && architecture === 'arm' && variant === 'v7') return makePlatform(os, architecture, '');
  if (third !== '' && architecture === 'arm64' && variant === '') return makePlatform(os, architecture, 'v8');
  return makePlatform(os, architecture, variant);
}

function parseSingle(part: string, text: string, host: Platform): Platform {
  const { os, architecture, variant } = normalizePlatform({ os: part, architecture: part });
  if (KNOWN_OS.has(os)) return { ...host, os };
  if (KNOWN_ARCHITECTURES.has(architecture)) return makePlatform(host.os, architecture, variant ?? '');
  throw new InvalidParameterError(`"${text}": unknown operating system or architecture`);
}

/** `linux/arm64/v8`, as it stands in messages. */
export function formatPlatform({ os, architecture, variant }: Platform): string {
  return [os || 'unknown', architecture, variant ?? ''].filter((part) => part !== '').join('/');
}

/** Everything a machine of this platform runs, best first. */
export function acceptablePlatforms(wanted: Platform): Platform[] {
  const { os, architecture, variant = '' } = normalizePlatform(wanted);
  const list = (variants: string[]): Platform[] => variants.map((v) => makePlatform(os, architecture, v));
  switch (architecture) {
    case 'amd64': {
      const level = Number(/^v([2-9])$/.exec(variant)?.[1] ?? 1);
      const lower = Array.from({ length: level - 1 }, (_, i) => level - 1 - i);
      const variants = [variant, ...lower.map((v) => (v === 1 ? '' : `v${v}`))];
      return [...list([...new Set(variants)]), makePlatform(os, '386', '')];
    }
    case 'arm': {
      const level = Number(/^v([5-8])$/.exec(variant)?.[1] ?? 0);
      const lower = [7, 6, 5].filter((v) => v < level).map((v) => `v${v}`);
      return list([variant, ...lower]);
    }
    case 'arm64':
      return [
        ...list([...new Set([variant, ''])]),
        ...['v8', 'v7', 'v6', 'v5'].map((v) => makePlatform(os, 'arm', v)),
      ];
    default:
      return list([variant]);
  }
}

/** How well `offered` serves `wanted`: 0 is best, undefined is not at all. */
export function platformRank(wanted: Platform, offered: Platform): number | undefined {
  const { os, architecture, variant } = normalizePlatform(offered);
  const rank = acceptablePlatforms(wanted).findIndex(
    (p) => p.os === os && p.architecture === architecture && p.variant === variant,
  );
  return rank === -1 ? undefined : rank;
}

/**
 * Whether an image whose configuration says `offered` may be used where `wanted` was asked for. Configurations often
 * leave the variant out; then the operating system and the architecture decide.
 */
export function imageMatchesPlatform(wanted: Platform, offered: Platform): boolean {
  if (platformRank(wanted, offered) !== undefined) return true;
  if (offered.variant !== undefined && offered.variant !== '') return false;
  const a = normalizePlatform(wanted);
  const b = normalizePlatform(offered);
  return a.os === b.os && a.architecture === b.architecture;
}

let cached: Platform | undefined;

/** This machine's platform, with the highest variant that its processor has. Read once. */
export function hostPlatform(): Platform {
  cached ??= detectHost();
  return cached;
}

function detectHost(): Platform {
  const architecture = NODE_ARCHITECTURES[process.arch] ?? process.arch;
  return makePlatform('linux', architecture, hostVariant(architecture));
}

function hostVariant(architecture: string): string {
  if (architecture === 'arm64') return 'v8';
  if (architecture !== 'amd64' && architecture !== 'arm') return '';
  let cpuinfo: string;
  try {
    cpuinfo = readFileSync('/proc/cpuinfo', 'utf8');
  } catch {
    // Without /proc only the base level of the architecture is certain.
    return architecture === 'arm' ? 'v5' : '';
  }
  return architecture === 'amd64' ? amd64Variant(cpuinfo) : armVariant(cpuinfo);
}

const AMD64_LEVELS: ReadonlyArray<readonly [string, string]> = [
  ['v2', 'cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3'],
  ['v3', 'avx avx2 bmi1 bmi2 f16c fma abm movbe xsave'],
  ['v4', 'avx512f avx512bw avx512cd avx512dq avx512vl'],
];

/** The x86-64 micro-architecture level (System V psABI, section 3.1.1) that the flags in `cpuinfo` add up to. */
export function amd64Variant(cpuinfo: string): string {
  const flags = new Set(/^flags\s*:\s*(.*)$/m.exec(cpuinfo)?.[1]?.split(' ') ?? []);
  let variant = '';
  for (const [level, needed] of AMD64_LEVELS) {
    if (!needed.split(' ').every((flag) => flags.has(flag))) break;
    variant = level;
  }
  return variant;
}

function armVariant(cpuinfo: string): string {
  const level = /^CPU architecture\s*:\s*(\d+)/m.exec(cpuinfo)?.[1];
  return level !== undefined && /^[5-8]$/.test(level) ? `v${level}` : 'v5';
}
