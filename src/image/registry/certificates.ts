/**
 * TLS material for a registry: the machine's trusted CAs, plus what `<certs dir>/<host[:port]>/` holds, laid out as
 * Docker has it: `*.crt` are CAs, `NAME.cert` with `NAME.key` is a client certificate. Files are read again for each
 * new connection pool, so that a certificate that was put there works at once.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createSecureContext, getCACertificates, type SecureContext } from 'node:tls';
import { errnoCode, InvalidParameterError } from '../../base/errors.ts';

export const DEFAULT_CERTIFICATE_DIRECTORIES: readonly string[] = [
  '/etc/mydock/certs.d',
  '/etc/docker/certs.d',
];

interface Material {
  ca: string[];
  clients: { cert: string; key: string }[];
}

/** The machine's own list where it has one, else the list built into the runtime. */
function trustedCertificates(): string[] {
  const system = getCACertificates('system');
  return system.length > 0 ? system : getCACertificates('default');
}

/**
 * Builds the TLS context for `host` (as it stands in references, with its port). Throws InvalidParameter for a client
 * certificate without a key, a key without a certificate, or an unreadable file.
 */
export function registryContext(host: string, directories: readonly string[]): SecureContext {
  const material = readMaterial(host, directories);
  const client = material.clients[0];
  try {
    return createSecureContext({
      ca: [...trustedCertificates(), ...material.ca],
      minVersion: 'TLSv1.2',
      ...(client === undefined ? {} : { cert: client.cert, key: client.key }),
    });
  } catch (error) {
    throw new InvalidParameterError(`certificates for registry ${host} cannot be used`, error);
  }
}

function readMaterial(host: string, directories: readonly string[]): Material {
  const material: Material = { ca: [], clients: [] };
  // The host comes from a validated reference or a URL: it holds no slash; dots alone would leave the directory.
  if (/^\.*$/.test(host) || host.includes('/')) return material;
  for (const directory of directories) readDirectory(join(directory, host), material);
  return material;
}

function readDirectory(directory: string, material: Material): void {
  let names: string[];
  try {
    names = readdirSync(directory).sort();
  } catch (error) {
    if (errnoCode(error) === 'ENOENT' || errnoCode(error) === 'ENOTDIR') return;
    throw new InvalidParameterError(`cannot read registry certificates in ${directory}`, error);
  }
  for (const name of names) {
    const path = join(directory, name);
    if (name.endsWith('.crt')) material.ca.push(readPem(path));
    if (name.endsWith('.cert')) {
      const key = path.replace(/\.cert$/, '.key');
      if (!existsSync(key))
        throw new InvalidParameterError(`missing key ${key} for client certificate ${path}`);
      material.clients.push({ cert: readPem(path), key: readPem(key) });
    }
    if (name.endsWith('.key') && !existsSync(path.replace(/\.key$/, '.cert'))) {
      throw new InvalidParameterError(`missing client certificate for key ${path}`);
    }
  }
}

function readPem(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new InvalidParameterError(`cannot read ${path}`, error);
  }
}
