/**
 * Seccomp profiles in Docker's JSON form (rules with conditions on capabilities, machine and kernel; OCI's
 * `linux.seccomp` is the same form without conditions), and their resolution to an OCI filter for one container.
 */
import { InvalidParameterError } from '../base/errors.ts';
import type {
  RawNumber,
  Seccomp,
  SeccompAction,
  SeccompArgument,
  SeccompOperator,
  SeccompSyscall,
} from './runtime-spec.ts';
import { DEFAULT_SECCOMP_PROFILE } from './seccomp-default.ts';

/** All that is given must hold; for `excludes`, any that holds leaves the rule out. */
export interface RuleCondition {
  caps?: readonly string[];
  /** Go's names: `amd64`, `arm64`. */
  arches?: readonly string[];
  /** `major.minor`. */
  minKernel?: string;
}

export interface ConditionalRule {
  names: readonly string[];
  action: SeccompAction;
  errnoRet?: number;
  args?: readonly SeccompArgument[];
  includes?: RuleCondition;
  excludes?: RuleCondition;
}

export interface ConditionalProfile {
  defaultAction: SeccompAction;
  defaultErrnoRet?: number;
  /** Either these, or `archMap`, whose entry for the machine is taken with its sub-architectures. */
  architectures?: readonly string[];
  archMap?: readonly { architecture: string; subArchitectures: readonly string[] }[];
  flags?: readonly string[];
  listenerPath?: string;
  listenerMetadata?: string;
  syscalls: readonly ConditionalRule[];
}

export interface SeccompFacts {
  /** Bounding set of the container, with `CAP_` prefixes. */
  capabilities: readonly string[];
  architecture: 'amd64' | 'arm64';
  /** As uname(2) gives it: `6.12.1-amd64`. */
  kernelRelease: string;
  /** A project quota limits the container's storage: the default profile keeps its root from leaving the project. */
  projectQuota?: boolean;
}

const NATIVE = { amd64: 'SCMP_ARCH_X86_64', arm64: 'SCMP_ARCH_AARCH64' } as const;

/**
 * The filter for a container. `profile` is what `--security-opt seccomp=` gave: undefined or `builtin` for the
 * default, `unconfined` for none (undefined is returned), else a profile's JSON text. Throws InvalidParameter for a
 * text that is no profile, naming the field.
 */
export function seccompFor(profile: string | undefined, facts: SeccompFacts): Seccomp | undefined {
  if (profile === 'unconfined') return undefined;
  if (profile !== undefined && profile !== '' && profile !== 'builtin') {
    return resolveSeccomp(parseSeccompProfile(profile), facts);
  }
  const filter = resolveSeccomp(DEFAULT_SECCOMP_PROFILE, facts);
  return facts.projectQuota === true ? withoutIoctls(filter, PROJECT_REQUESTS) : filter;
}

/**
 * What changes the project that a file counts for: FS_IOC_FSSETXATTR; and FS_IOC_SETFLAGS in both of its sizes, which
 * takes from a directory that what is made in it counts for the same (linux/fs.h).
 */
const PROJECT_REQUESTS = [0x401c5820, 0x40086602, 0x40046602] as const;

/**
 * Allows all ioctls but some. The kernel looks at 32 bits of the request, and an inequality would look at 64, so that
 * any of the upper ones would lift it: what is allowed are the prefixes of the 32 bits that none of `requests` has,
 * with those bits in front that are the same in all of them, which one rule each is enough for.
 */
function withoutIoctls(filter: Seccomp, requests: readonly number[]): Seccomp {
  const differing = requests.reduce((bits, request) => bits | (request ^ (requests[0] ?? 0)), 0);
  const differs = (bit: number) => (differing >>> bit) & 1;
  const bits = Array.from({ length: 32 }, (_, bit) => bit).sort((a, b) => differs(a) - differs(b));
  const others: SeccompSyscall[] = [];
  const allow = (mask: number, value: number, depth: number, left: readonly number[]): void => {
    const bit = bits[depth];
    if (left.length === 0) {
      const arg = { index: 1, value: mask >>> 0, valueTwo: value >>> 0, op: 'SCMP_CMP_MASKED_EQ' } as const;
      others.push({ names: ['ioctl'], action: 'SCMP_ACT_ALLOW', args: [arg] });
    } else if (bit !== undefined) {
      for (const set of [0, 1]) {
        const same = left.filter((request) => ((request >>> bit) & 1) === set);
        allow(mask | (1 << bit), value | (set << bit), depth + 1, same);
      }
    }
  };
  allow(0, 0, 0, requests);
  const rules = (filter.syscalls ?? []).map((rule) => ({
    ...rule,
    names: rule.names.filter((name) => name !== 'ioctl'),
  }));
  return { ...filter, syscalls: [...rules, ...others] };
}

/** Leaves out the rules whose conditions do not hold. */
export function resolveSeccomp(profile: ConditionalProfile, facts: SeccompFacts): Seccomp {
  const syscalls = profile.syscalls.filter((rule) => holds(rule, facts)).map(plainRule);
  return {
    defaultAction: profile.defaultAction,
    ...(profile.defaultErrnoRet === undefined ? {} : { defaultErrnoRet: profile.defaultErrnoRet }),
    ...architecturesOf(profile, facts),
    ...(profile.flags === undefined ? {} : { flags: [...profile.flags] }),
    ...(profile.listenerPath === undefined ? {} : { listenerPath: profile.listenerPath }),
    ...(profile.listenerMetadata === undefined ? {} : { listenerMetadata: profile.listenerMetadata }),
    syscalls,
  };
}

function architecturesOf(profile: ConditionalProfile, facts: SeccompFacts): { architectures?: string[] } {
  if (profile.architectures !== undefined) return { architectures: [...profile.architectures] };
  const entry = profile.archMap?.find(({ architecture }) => architecture === NATIVE[facts.architecture]);
  return entry === undefined ? {} : { architectures: [entry.architecture, ...entry.subArchitectures] };
}

function holds({ includes, excludes }: ConditionalRule, facts: SeccompFacts): boolean {
  if (includes?.arches?.length && !includes.arches.includes(facts.architecture)) return false;
  if (includes?.caps?.some((capability) => !facts.capabilities.includes(capability))) return false;
  if (includes?.minKernel !== undefined && !kernelAtLeast(facts.kernelRelease, includes.minKernel))
    return false;
  if (excludes?.arches?.includes(facts.architecture)) return false;
  if (excludes?.caps?.some((capability) => facts.capabilities.includes(capability))) return false;
  return excludes?.minKernel === undefined || !kernelAtLeast(facts.kernelRelease, excludes.minKernel);
}

function plainRule(rule: ConditionalRule): SeccompSyscall {
  return {
    names: [...rule.names],
    action: rule.action,
    ...(rule.errnoRet === undefined ? {} : { errnoRet: rule.errnoRet }),
    ...(rule.args === undefined || rule.args.length === 0
      ? {}
      : { args: rule.args.map((arg) => ({ ...arg })) }),
  };
}

function kernelAtLeast(release: string, minimum: string): boolean {
  const [haveMajor, haveMinor] = kernelNumbers(release);
  const [wantMajor, wantMinor] = kernelNumbers(minimum);
  return haveMajor > wantMajor || (haveMajor === wantMajor && haveMinor >= wantMinor);
}

function kernelNumbers(text: string): [number, number] {
  const match = /^(\d+)\.(\d+)/.exec(text);
  if (match === null)
    throw new InvalidParameterError(`invalid kernel version "${text}": expected major.minor`);
  return [Number(match[1]), Number(match[2])];
}

const ACTIONS: ReadonlySet<string> = new Set<SeccompAction>([
  'SCMP_ACT_KILL',
  'SCMP_ACT_KILL_THREAD',
  'SCMP_ACT_KILL_PROCESS',
  'SCMP_ACT_TRAP',
  'SCMP_ACT_ERRNO',
  'SCMP_ACT_TRACE',
  'SCMP_ACT_ALLOW',
  'SCMP_ACT_LOG',
  'SCMP_ACT_NOTIFY',
]);

const OPERATORS: ReadonlySet<string> = new Set<SeccompOperator>([
  'SCMP_CMP_NE',
  'SCMP_CMP_LT',
  'SCMP_CMP_LE',
  'SCMP_CMP_EQ',
  'SCMP_CMP_GE',
  'SCMP_CMP_GT',
  'SCMP_CMP_MASKED_EQ',
]);

type Json = Record<string, unknown>;

function fail(what: string): never {
  throw new InvalidParameterError(`decoding seccomp profile failed: ${what}`);
}

/** Numbers that a double does not hold exactly become bigints. */
function parseExact(text: string): unknown {
  // lib.es5 does not know the third argument yet (ECMAScript, "JSON.parse source text access").
  const parse = JSON.parse as (
    text: string,
    reviver: (key: string, value: unknown, context: { source?: string }) => unknown,
  ) => unknown;
  return parse(text, (_key, value, { source = '' }) =>
    typeof value === 'number' && !Number.isSafeInteger(value) && /^\d{1,20}$/.test(source)
      ? BigInt(source)
      : value,
  );
}

/** Reads a profile's JSON text. */
export function parseSeccompProfile(text: string): ConditionalProfile {
  let parsed: unknown;
  try {
    parsed = parseExact(text);
  } catch (error) {
    throw new InvalidParameterError('decoding seccomp profile failed', error);
  }
  const profile = object(parsed, 'profile');
  if (present(profile['architectures']) && present(profile['archMap'])) {
    fail("both 'architectures' and 'archMap' were specified in the seccomp profile, use either one");
  }
  return {
    defaultAction: oneOf(profile['defaultAction'], ACTIONS, 'defaultAction') as SeccompAction,
    ...optional('defaultErrnoRet', integer(profile['defaultErrnoRet'], 'defaultErrnoRet')),
    ...optional('architectures', strings(profile['architectures'], 'architectures')),
    ...optional('archMap', archMap(profile['archMap'])),
    ...optional('flags', strings(profile['flags'], 'flags')),
    ...optional('listenerPath', string(profile['listenerPath'], 'listenerPath')),
    ...optional('listenerMetadata', string(profile['listenerMetadata'], 'listenerMetadata')),
    syscalls: list(profile['syscalls'], 'syscalls').map((rule, index) =>
      parseRule(rule, `syscalls[${index}]`),
    ),
  };
}

function parseRule(value: unknown, where: string): ConditionalRule {
  const rule = object(value, where);
  const name = string(rule['name'], `${where}.name`);
  const names = strings(rule['names'], `${where}.names`) ?? [];
  if (name !== undefined && name !== '' && names.length > 0) {
    fail(`${where}: 'name' and 'names' were specified in the seccomp profile, use either 'name' or 'names'`);
  }
  return {
    names: name === undefined || name === '' ? names : [name],
    action: oneOf(rule['action'], ACTIONS, `${where}.action`) as SeccompAction,
    ...optional('errnoRet', integer(rule['errnoRet'], `${where}.errnoRet`)),
    args: list(rule['args'], `${where}.args`).map((arg, index) =>
      parseArgument(arg, `${where}.args[${index}]`),
    ),
    ...optional('includes', condition(rule['includes'], `${where}.includes`)),
    ...optional('excludes', condition(rule['excludes'], `${where}.excludes`)),
  };
}

function parseArgument(value: unknown, where: string): SeccompArgument {
  const arg = object(value, where);
  const index = integer(arg['index'], `${where}.index`) ?? 0;
  if (index > 5) fail(`${where}.index is ${index}, the largest is 5`);
  return {
    index,
    value: integer64(arg['value'], `${where}.value`) ?? 0,
    ...optional('valueTwo', integer64(arg['valueTwo'], `${where}.valueTwo`)),
    op: oneOf(arg['op'], OPERATORS, `${where}.op`) as SeccompOperator,
  };
}

function condition(value: unknown, where: string): RuleCondition | undefined {
  if (!present(value)) return undefined;
  const given = object(value, where);
  const minKernel = string(given['minKernel'], `${where}.minKernel`);
  if (minKernel !== undefined && minKernel !== '') kernelNumbers(minKernel);
  return {
    ...optional('caps', strings(given['caps'], `${where}.caps`)),
    ...optional('arches', strings(given['arches'], `${where}.arches`)),
    ...optional('minKernel', minKernel === '' ? undefined : minKernel),
  };
}

function archMap(value: unknown): ConditionalProfile['archMap'] {
  if (!present(value)) return undefined;
  return list(value, 'archMap').map((entry, index) => {
    const given = object(entry, `archMap[${index}]`);
    return {
      architecture: string(given['architecture'], `archMap[${index}].architecture`) ?? '',
      subArchitectures: strings(given['subArchitectures'], `archMap[${index}].subArchitectures`) ?? [],
    };
  });
}

function present(value: unknown): boolean {
  return value !== undefined && value !== null && !(Array.isArray(value) && value.length === 0);
}

function optional<K extends string, V>(key: K, value: V | undefined): { [P in K]?: V } {
  return value === undefined ? {} : ({ [key]: value } as { [P in K]?: V });
}

function object(value: unknown, where: string): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) fail(`${where} is not an object`);
  return value as Json;
}

function list(value: unknown, where: string): unknown[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? value : fail(`${where} is not a list`);
}

function string(value: unknown, where: string): string | undefined {
  if (value === undefined || value === null) return undefined;
  return typeof value === 'string' ? value : fail(`${where} is not a string`);
}

function strings(value: unknown, where: string): string[] | undefined {
  if (!present(value)) return undefined;
  return list(value, where).map(
    (item, index) => string(item, `${where}[${index}]`) ?? fail(`${where}[${index}] is null`),
  );
}

const UINT64_MAX = 2n ** 64n - 1n;

/** Where a double does not hold it exactly: as it was written, for the filter must not compare with another value. */
function integer64(value: unknown, where: string): number | RawNumber | undefined {
  if (typeof value !== 'bigint') return integer(value, where);
  if (value > UINT64_MAX) fail(`${where} is ${value}, expected a whole number from 0 to ${UINT64_MAX}`);
  // lib.es5 does not know it yet.
  return (JSON as unknown as { rawJSON(text: string): RawNumber }).rawJSON(String(value));
}

function integer(value: unknown, where: string): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    fail(`${where} is ${String(value)}, expected a whole number from 0 to ${Number.MAX_SAFE_INTEGER}`);
  }
  return value;
}

function oneOf(value: unknown, known: ReadonlySet<string>, where: string): string {
  if (typeof value !== 'string' || !known.has(value)) {
    fail(`${where} is ${JSON.stringify(value)}, expected one of ${[...known].join(', ')}`);
  }
  return value;
}
