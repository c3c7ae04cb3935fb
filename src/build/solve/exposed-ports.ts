/** EXPOSE's words: `80`, `80/udp`, `8000-8010/tcp`; a host's address and port in front of them say nothing here. */
import { InvalidParameterError } from '../../base/errors.ts';

/** The ports as the configuration has them (`80/tcp`). Throws InvalidParameter with Docker's texts. */
export function parseExposedPorts(text: string): string[] {
  const match = /^(?:.*:)?(\d+)(?:-(\d+))?(?:\/([A-Za-z]+))?$/.exec(text);
  if (match === null) throw new InvalidParameterError(`invalid containerPort: ${text}`);
  const first = Number(match[1]);
  const last = match[2] === undefined ? first : Number(match[2]);
  const protocol = (match[3] ?? 'tcp').toLowerCase();
  if (!['tcp', 'udp', 'sctp'].includes(protocol))
    throw new InvalidParameterError(`invalid proto: ${match[3]}`);
  if (first < 1 || last > 65535 || last < first)
    throw new InvalidParameterError(`invalid containerPort: ${text}`);
  return Array.from({ length: last - first + 1 }, (_, index) => `${first + index}/${protocol}`);
}
