/**
 * The directive `builder` of the configuration file (`{"gc": {"enabled": true, "maxUsedSpace": "20GB"}}`, as Docker has
 * it) and its flag (`--builder-gc maxUsedSpace=20GB`): what the build cache may keep.
 */
import { InvalidParameterError } from '../base/errors.ts';
import type { CacheBudget } from '../build/cache/cache-budget.ts';

type Limit = 'reservedSpaceBytes' | 'maxUsedSpaceBytes' | 'minFreeSpaceBytes';

/** Docker's keys, with those of its older versions. */
const LIMITS: Readonly<Record<string, Limit>> = {
  defaultKeepStorage: 'reservedSpaceBytes',
  defaultReservedSpace: 'reservedSpaceBytes',
  defaultMaxUsedSpace: 'maxUsedSpaceBytes',
  defaultMinFreeSpace: 'minFreeSpaceBytes',
  keepStorage: 'reservedSpaceBytes',
  reservedSpace: 'reservedSpaceBytes',
  maxUsedSpace: 'maxUsedSpaceBytes',
  minFreeSpace: 'minFreeSpaceBytes',
};

/** `where` names the directive. Throws InvalidParameter, naming the key. */
export function readBuilder(value: unknown, where: string): Partial<CacheBudget> {
  if (Array.isArray(value)) {
    return readGc(Object.fromEntries(value.map((item) => String(item).split(/=(.*)/s, 2))), where);
  }
  const { gc = {}, entitlements: _, ...others } = objectOf(value, where);
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) throw new InvalidParameterError(`${where}: unknown key "${unknown}"`);
  return readGc(objectOf(gc, `${where}.gc`), `${where}.gc`);
}

function readGc(gc: Record<string, unknown>, where: string): Partial<CacheBudget> {
  const budget: Partial<CacheBudget> = {};
  for (const [key, value] of Object.entries(gc)) {
    const limit = Object.hasOwn(LIMITS, key) ? LIMITS[key] : undefined;
    if (key === 'enabled') budget.enabled = readSwitch(value, `${where}.enabled`);
    else if (key === 'policy') Object.assign(budget, readPolicies(value, `${where}.policy`));
    else if (limit !== undefined) budget[limit] = readSize(value, `${where}.${key}`);
    else throw new InvalidParameterError(`${where}: unknown key "${key}"`);
  }
  return budget;
}

/** The last rule is the one for everything; those before it are for parts of the cache, which one budget covers here. */
function readPolicies(value: unknown, where: string): Partial<CacheBudget> {
  if (!Array.isArray(value)) throw new InvalidParameterError(`${where}: expected a list`);
  const rules = value.map((rule) => objectOf(rule, where));
  const { all: _, filter: __, keepDuration: ___, ...limits } = rules.at(-1) ?? {};
  return readGc(limits, where);
}

function objectOf(value: unknown, where: string): Record<string, unknown> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidParameterError(`${where}: invalid value ${JSON.stringify(value)}: expected an object`);
  }
  return value as Record<string, unknown>;
}

function readSwitch(value: unknown, where: string): boolean {
  if (value === true || value === 'true' || value === '1') return true;
  if (value === false || value === 'false' || value === '0') return false;
  throw new InvalidParameterError(`${where}: invalid value ${JSON.stringify(value)}: expected true or false`);
}

/** `20GB` are 20·10⁹ bytes and `20GiB` 20·2³⁰, as Docker reads them; a number is bytes. */
function readSize(value: unknown, where: string): number {
  const match = /^(\d{1,15}(?:\.\d{1,6})?) ?([kmgtp]?)(i?)b?$/i.exec(String(value));
  const power = 'kmgtp'.indexOf(match?.[2]?.toLowerCase() || '-') + 1;
  const bytes = Math.floor(Number(match?.[1]) * (match?.[3] === '' ? 1000 : 1024) ** power);
  if (Number.isSafeInteger(bytes)) return bytes;
  throw new InvalidParameterError(
    `${where}: invalid value ${JSON.stringify(value)}: expected a size, as 20GB`,
  );
}
