/** The ssh agent of a build's client as a socket of this machine, for programs of the daemon's: gone once they are done. */
import { chmodSync, mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import type { BuildSession } from '../session.ts';

export interface AgentSocket {
  path: string;
  close(): Promise<void>;
}

/** Undefined where the client forwards no agent by that name. Its folder is root's: sockets have short paths at most. */
export async function openAgentSocket(
  session: BuildSession | undefined,
  id: string,
): Promise<AgentSocket | undefined> {
  if (session === undefined || !(await session.hasSshAgent(id))) return undefined;
  const folder = mkdtempSync(join(tmpdir(), 'mydock-agent-'));
  const path = join(folder, 'agent');
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.once('close', () => open.delete(socket));
    void connect(session, id, socket);
  });
  const close = async (): Promise<void> => {
    for (const socket of open) socket.destroy();
    if (server.listening) await new Promise<void>((resolve) => server.close(() => resolve()));
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await new Promise<void>((resolve, reject) => {
      // Also later, when a connection cannot be taken: the program that makes it is told by its end.
      server.on('error', reject);
      server.listen(path, resolve);
    });
    chmodSync(path, 0o600);
  } catch (error) {
    await close();
    throw error;
  }
  return { path, close };
}

async function connect(session: BuildSession, id: string, socket: Socket): Promise<void> {
  try {
    const agent = await session.connectSshAgent(id);
    await Promise.all([pipeline(socket, agent, { end: true }), pipeline(agent, socket, { end: true })]);
  } catch {
    // The program finds an agent that does not answer, and says so itself.
    socket.destroy();
  }
}
