/**
 * Credentials as clients hand them over: the `X-Registry-Auth` header, base64url of a JSON object (Engine API,
 * "Authentication"). They are held for one request and never written down.
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

/** Decodes the header; an empty one means anonymous. Throws InvalidParameter without quoting the content. */
export function decodeRegistryAuth(header: string): RegistryAuth {
  if (header === '') return {};
  const invalid = (cause?: unknown): InvalidParameterError =>
    new InvalidParameterError(
      'invalid X-Registry-Auth header: must be a base64url-encoded JSON object',
      cause,
    );
  if (header.length > MAX_HEADER_BYTES || !/^[A-Za-z0-9_+/-]*={0,2}$/.test(header)) throw invalid();
  const bytes = Buffer.from(header, 'base64url');
  if (bytes.length === 0) throw invalid();
  let json: JsonReader;
  try {
    json = JsonReader.parse(bytes, 'X-Registry-Auth header');
  } catch (error) {
    if (bytes.toString() === 'null') return {};
    throw invalid(error);
  }
  return readAuth(json);
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
