/** `POST /build` as the classic builder's clients send it: files as a tar, the answer as what a client prints. */
import { makeTar, type TarEntry } from '../../fixtures/tar.ts';
import type { Daemon } from '../harness.ts';
import { sendBytes } from '../security/attack.ts';

export interface Built {
  status: number;
  /** What a client prints. */
  output: string;
  error: string;
  id: string;
}

export type Files = Readonly<Record<string, string>>;

interface Message {
  stream?: string;
  error?: string;
  aux?: { ID?: string };
}

export async function classicBuild(
  daemon: Pick<Daemon, 'socket'>,
  files: Files,
  query = '',
  mtime = 1_700_000_000,
): Promise<Built> {
  const entries = Object.entries(files).map(
    ([path, data]): TarEntry => ({ path, data, mtimeNs: BigInt(mtime) * 1_000_000_000n }),
  );
  const { status, text } = await sendBytes(daemon, 'POST', `/build?${query}`, makeTar(entries));
  const messages = text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as Message);
  return {
    status,
    output: messages.map(({ stream = '' }) => stream).join(''),
    error: messages.map(({ error = '' }) => error).join('') + (status === 200 ? '' : text),
    id: messages.map(({ aux }) => aux?.ID ?? '').join(''),
  };
}
