/**
 * Names of the Container Device Interface (CDI): a kind is `vendor/class`, a device is `vendor/class=name`
 * (container-device-interface SPEC.md, "Kind" and "CDI Devices").
 */

/** Begins with a letter, ends with a letter or digit; letters, digits, `_`, `-`, `.` in between. */
const WORD = /^[A-Za-z](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?$/;
/** Begins and ends with a letter or digit, and may have colons. */
const DEVICE = /^[A-Za-z0-9](?:[A-Za-z0-9_.:-]{0,252}[A-Za-z0-9])?$/;

export function isKind(text: string): boolean {
  const [vendor = '', name = '', ...more] = text.split('/');
  return more.length === 0 && WORD.test(vendor) && WORD.test(name);
}

export function isDeviceName(text: string): boolean {
  return DEVICE.test(text);
}

export interface QualifiedName {
  kind: string;
  device: string;
}

/** Undefined for a text that is no qualified name. */
export function parseQualifiedName(text: string): QualifiedName | undefined {
  const at = text.indexOf('=');
  const kind = text.slice(0, Math.max(at, 0));
  const device = text.slice(at + 1);
  return isKind(kind) && isDeviceName(device) ? { kind, device } : undefined;
}
