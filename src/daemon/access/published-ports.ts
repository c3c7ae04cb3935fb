/**
 * Which ports of the host a scoped socket's containers may have: those from 1024 on, as every user of the host may
 * bind them, and ephemeral ones.
 */
const FIRST_PORT = 1024;

/** What is wrong with a host port (`8080`, `8000-8010`, `8080/tcp`, empty or 0 for an ephemeral one). */
export function portExcess(hostPort: string): string | undefined {
  const text = hostPort.split('/', 1)[0] ?? '';
  if (text === '' || text === '0') return undefined;
  // What is no port is the engine's to refuse; here it is only not let through.
  const ports = text.split('-').map(Number);
  return ports.every((port) => Number.isInteger(port) && port >= FIRST_PORT)
    ? undefined
    : `host port ${text.slice(0, 20)} (below ${FIRST_PORT})`;
}
