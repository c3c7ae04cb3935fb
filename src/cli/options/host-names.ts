/** `--add-host`, `--dns`, `--dns-search`, `--link`. */
import { isIP } from 'node:net';

/** `name:address` or `name=address`, as `name:address`; the address may be `host-gateway` or in brackets. */
export function parseExtraHost(text: string): string {
  const separator = text.includes('=') ? '=' : ':';
  const at = text.indexOf(separator);
  const name = text.slice(0, Math.max(at, 0));
  const written = text.slice(at + 1);
  if (at < 0 || name === '') throw new Error(`bad format for add-host: "${text}"`);
  const address = /^\[.*\]$/.test(written) ? written.slice(1, -1) : written;
  if (address !== 'host-gateway' && isIP(address) === 0) {
    throw new Error(`invalid IP address in add-host: "${written}"`);
  }
  return `${name}:${address}`;
}

export function parseIpAddress(text: string): string {
  if (isIP(text.trim()) === 0) throw new Error(`IP address is not correctly formatted: ${text}`);
  return text.trim();
}

/** A DNS domain, or `.` for none. */
export function parseDnsSearch(text: string): string {
  const domain = text.trim();
  if (domain === '.') return domain;
  if (!/^(?:[a-z\d](?:[a-z\d\-_]*[a-z\d])?)(?:\.(?:[a-z\d](?:[a-z\d\-_]*[a-z\d])?))*$/i.test(domain)) {
    throw new Error(`${text} is not a valid domain`);
  }
  return domain;
}

/** `container[:alias]` as `container:alias`. */
export function parseLink(text: string): string {
  const parts = text.split(':');
  if (text === '') throw new Error('empty string specified for links');
  if (parts.length > 2) throw new Error(`bad format for links: ${text}`);
  return parts.length === 1 ? `${text}:${text}` : text;
}

/** Six octets in hexadecimal. */
export function parseMacAddress(text: string): string {
  if (!/^([\da-f]{2}[:-]){5}[\da-f]{2}$/i.test(text.trim()))
    throw new Error(`${text} is not a valid mac address`);
  return text.trim();
}
