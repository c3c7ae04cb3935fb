/** `--secret` and `--ssh`: what the daemon may ask of this client while it builds. */
import { readAttributes, requireKnown } from './attributes.ts';

export interface SecretFlag {
  readonly id: string;
  /** Where its value is; a bare ID is a variable of that name, or else a file. */
  readonly file?: string;
  readonly env?: string;
}

export interface SshFlag {
  readonly id: string;
  /** The socket of an agent, or files of keys; none for `SSH_AUTH_SOCK`. */
  readonly paths: readonly string[];
}

export function parseSecret(text: string): SecretFlag {
  const attributes = readAttributes(text);
  requireKnown(attributes, ['id', 'type', 'src', 'source', 'env']);
  const type = attributes.get('type') ?? '';
  if (type !== '' && type !== 'file' && type !== 'env') {
    throw new Error(`unsupported secret type "${type}": it must be file or env`);
  }
  const source = attributes.get('src') ?? attributes.get('source');
  const env = attributes.get('env') ?? (type === 'env' ? source : undefined);
  const id = attributes.get('id') ?? '';
  if (id === '') throw new Error('a secret needs id=NAME');
  if (type === 'env') return { id, env: env ?? id };
  if (env !== undefined && source !== undefined) throw new Error('a secret has src or env, not both');
  if (env !== undefined) return { id, env };
  return source === undefined ? { id } : { id, file: source };
}

export function parseSsh(text: string): SshFlag {
  const equals = text.indexOf('=');
  const id = equals < 0 ? text : text.slice(0, equals);
  if (id === '') throw new Error('it must be default or id[=socket|key[,key]]');
  if (equals < 0) return { id, paths: [] };
  const paths = text.slice(equals + 1).split(',');
  if (paths.includes('')) throw new Error(`${id} has an empty path`);
  return { id, paths };
}
