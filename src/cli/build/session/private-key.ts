/**
 * Private keys in files, as ssh-keygen and openssl write them: OpenSSH's own format (PROTOCOL.key of OpenSSH), and PEM. Of
 * Ed25519, RSA and ECDSA; those with a passphrase are refused. What they sign is as RFC 4253, 5656, 8332 and 8709 have it.
 */
import { createPrivateKey, type JsonWebKey, type KeyObject, sign } from 'node:crypto';
import { mpint, SshReader, string } from './ssh-wire.ts';

export interface PrivateKey {
  /** The public half, as the agent's protocol names keys. */
  readonly blob: Buffer;
  /** `flags` are the agent protocol's: which hash an RSA key takes. */
  sign(data: Buffer, flags: number): Buffer;
}

const MAGIC = 'openssh-key-v1\0';
const ARMOUR = /-----BEGIN OPENSSH PRIVATE KEY-----([A-Za-z0-9+/=\s]*)-----END OPENSSH PRIVATE KEY-----/;
const RSA_SHA2_256 = 2;
const RSA_SHA2_512 = 4;

/** JWK's name of a curve; OpenSSH's, and the hash that belongs to it. */
const CURVES: Readonly<Record<string, { name: string; hash: string }>> = {
  'P-256': { name: 'nistp256', hash: 'sha256' },
  'P-384': { name: 'nistp384', hash: 'sha384' },
  'P-521': { name: 'nistp521', hash: 'sha512' },
};

/** Throws an Error that says what is wrong with the text. */
export function readPrivateKey(text: string): PrivateKey {
  const armoured = ARMOUR.exec(text)?.[1];
  const key = armoured === undefined ? pemKey(text) : opensshKey(Buffer.from(armoured, 'base64'));
  const jwk = key.export({ format: 'jwk' });
  switch (jwk.kty) {
    case 'OKP':
      return ed25519(key, jwk);
    case 'RSA':
      return rsa(key, jwk);
    case 'EC':
      return ecdsa(key, jwk);
    default:
      throw new Error('it is a key of a kind that ssh does not have');
  }
}

function pemKey(text: string): KeyObject {
  if (/ENCRYPTED/.test(text)) throw new Error('it is protected by a passphrase');
  try {
    return createPrivateKey(text);
  } catch {
    throw new Error('it is no private key');
  }
}

function opensshKey(bytes: Buffer): KeyObject {
  if (bytes.toString('latin1', 0, MAGIC.length) !== MAGIC) throw new Error('it is no private key');
  const outer = new SshReader(bytes.subarray(MAGIC.length));
  if (outer.string().toString() !== 'none') throw new Error('it is protected by a passphrase');
  outer.string();
  outer.string();
  if (outer.uint32() !== 1) throw new Error('it has more than one key');
  outer.string();
  const inner = new SshReader(outer.string());
  const [check, again] = [inner.uint32(), inner.uint32()];
  if (check !== again) throw new Error('it is damaged');
  return createPrivateKey({ key: jwkOf(inner), format: 'jwk' });
}

function jwkOf(fields: SshReader): JsonWebKey {
  const type = fields.string().toString();
  if (type === 'ssh-ed25519') {
    const x = fields.string();
    return { kty: 'OKP', crv: 'Ed25519', x: url(x), d: url(fields.string().subarray(0, 32)) };
  }
  if (type === 'ssh-rsa') {
    const [n, e, d, qi, p, q] = Array.from({ length: 6 }, () => unsigned(fields.string()));
    if (!n || !e || !d || !qi || !p || !q) throw new Error('it is damaged');
    const exponent = (prime: Buffer): string => {
      const hex = (number(d) % (number(prime) - 1n)).toString(16);
      return url(Buffer.from(hex.padStart(hex.length + (hex.length % 2), '0'), 'hex'));
    };
    const primes = { p: url(p), q: url(q), dp: exponent(p), dq: exponent(q), qi: url(qi) };
    return { kty: 'RSA', n: url(n), e: url(e), d: url(d), ...primes };
  }
  const curve = Object.entries(CURVES).find(([, { name }]) => type === `ecdsa-sha2-${name}`)?.[0];
  if (curve === undefined) throw new Error(`it is a key of the type ${type}, which is not known`);
  fields.string();
  const point = fields.string();
  const size = (point.length - 1) / 2;
  const d = unsigned(fields.string());
  const padded = Buffer.concat([Buffer.alloc(Math.max(0, size - d.length)), d]);
  const [x, y] = [point.subarray(1, 1 + size), point.subarray(1 + size)];
  return { kty: 'EC', crv: curve, x: url(x), y: url(y), d: url(padded) };
}

function ed25519(key: KeyObject, { crv, x = '' }: JsonWebKey): PrivateKey {
  if (crv !== 'Ed25519') throw new Error(`it is a key of the type ${crv}, which ssh does not have`);
  const name = string('ssh-ed25519');
  return {
    blob: Buffer.concat([name, string(bytesOf(x))]),
    sign: (data) => Buffer.concat([name, string(sign(null, data, key))]),
  };
}

function rsa(key: KeyObject, { n = '', e = '' }: JsonWebKey): PrivateKey {
  return {
    blob: Buffer.concat([string('ssh-rsa'), mpint(bytesOf(e)), mpint(bytesOf(n))]),
    sign: (data, flags) => {
      const [name, hash] =
        (flags & RSA_SHA2_512) !== 0
          ? ['rsa-sha2-512', 'sha512']
          : (flags & RSA_SHA2_256) !== 0
            ? ['rsa-sha2-256', 'sha256']
            : ['ssh-rsa', 'sha1'];
      return Buffer.concat([string(name), string(sign(hash, data, key))]);
    },
  };
}

function ecdsa(key: KeyObject, { crv = '', x = '', y = '' }: JsonWebKey): PrivateKey {
  const curve = CURVES[crv];
  if (curve === undefined) throw new Error(`it is a key on the curve ${crv}, which ssh does not have`);
  const name = string(`ecdsa-sha2-${curve.name}`);
  const point = Buffer.concat([Buffer.from([4]), bytesOf(x), bytesOf(y)]);
  return {
    blob: Buffer.concat([name, string(curve.name), string(point)]),
    sign: (data) => {
      const both = sign(curve.hash, data, { key, dsaEncoding: 'ieee-p1363' });
      const half = both.length / 2;
      return Buffer.concat([
        name,
        string(Buffer.concat([mpint(both.subarray(0, half)), mpint(both.subarray(half))])),
      ]);
    },
  };
}

const url = (bytes: Buffer): string => bytes.toString('base64url');
const bytesOf = (text: string): Buffer => Buffer.from(text, 'base64url');
const number = (bytes: Buffer): bigint => BigInt(`0x${bytes.toString('hex') || '0'}`);

/** Without the zero in front that keeps a number positive. */
function unsigned(bytes: Buffer): Buffer {
  return bytes[0] === 0 ? bytes.subarray(1) : bytes;
}
