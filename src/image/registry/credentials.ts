/**
 * Credentials as clients hand them over: the `X-Registry-Auth` header, base64url of a JSON object, and the
 * `X-Registry-Config` header, the same of a map from registry to such objects (Engine API, "Authentication"). They
 * are held for one request and never written down.
 */
import { InvalidParameterError } from '../../base/errors.ts';
import { JsonReader } from '../json.ts';

export interface RegistryAuth {
  username?: string;
  password?: string;
  /** A refresh token, exchanged at the registry's token server. */
  identitytoken?: string;
  /** A bearer token, sent as it is. */
  registrytoken?: string;
  serveraddress?: string;
}

const MAX_HEADER_BYTES = 64 << 10;
const MAX_REGISTRIES = 1000;

/** Decodes the header; an empty one means anonymous. Throws InvalidParameter without quoting the content. */
export function decodeRegistryAuth(header: string): RegistryAuth {
  const json = decodeHeader('X-Registry-Auth', header);
  return json === undefined ? {} : readAuth(json);
}

/** Decodes `X-Registry-Config`, by the addresses that the client wrote. Throws as `decodeRegistryAuth`. */
export function decodeRegistryConfig(header: string): Record<string, RegistryAuth> {
  const json = decodeHeader('X-Registry-Config', header);
  const names = Object.keys(json?.value ?? {});
  if (names.length > MAX_REGISTRIES) throw invalidHeader('X-Registry-Config');
  const read = (name: string): RegistryAuth => {
    const entry = json?.object(name);
    return entry === undefined ? {} : readAuth(entry);
  };
  return Object.fromEntries(names.map((name) => [name, read(name)]));
}

/** Undefined for an empty header and for `null`. */
function decodeHeader(name: string, header: string): JsonReader | undefined {
  if (header === '') return undefined;
  if (header.length > MAX_HEADER_BYTES || !/^[A-Za-z0-9_+/-]*={0,2}$/.test(header)) throw invalidHeader(name);
  const bytes = Buffer.from(header, 'base64url');
  if (bytes.length === 0) throw invalidHeader(name);
  try {
    return JsonReader.parse(bytes, `${name} header`);
  } catch (error) {
    if (bytes.toString() === 'null') return undefined;
    throw invalidHeader(name, error);
  }
}

function invalidHeader(name: string, cause?: unknown): InvalidParameterError {
  return new InvalidParameterError(`invalid ${name} header: must be a base64url-encoded JSON object`, cause);
}

function readAuth(json: JsonReader): RegistryAuth {
  const auth: RegistryAuth = {};
  for (const key of ['username', 'password', 'identitytoken', 'registrytoken', 'serveraddress'] as const) {
    const value = json.string(key);
    if (value !== undefined && value !== '') auth[key] = value;
  }
  // `auth` is how the configuration file spells the pair; some clients pass it on unchanged.
  const pair = json.string('auth');
  if (auth.username === undefined && pair !== undefined && pair !== '') {
    const text = Buffer.from(pair, 'base64').toString();
    const colon = text.indexOf(':');
    if (colon > 0) {
      auth.username = text.slice(0, colon);
      auth.password = text.slice(colon + 1);
    }
  }
  return auth;
}
