/**
 * Credential helpers: programs `docker-credential-NAME` with the verb as their argument, their input on stdin and
 * their answer, or what is wrong, on stdout (docker-credential-helpers, "Development"). What they write to stderr
 * is the user's to see.
 */
import { spawn } from 'node:child_process';
import type { AuthConfig } from '../../api/images.ts';
import type { Io } from '../io.ts';

const NOT_FOUND = 'credentials not found in native keychain';
/** The name under which helpers keep an identity token. */
const TOKEN_USER = '<token>';
const MAX_ANSWER_BYTES = 1 << 20;

/** Undefined where the helper has none. Throws with the helper's words. */
export async function getFromHelper(
  helper: string,
  server: string,
  io: Pick<Io, 'env' | 'stderr'>,
): Promise<AuthConfig | undefined> {
  const { failure, output } = await run(helper, 'get', server, io);
  if (output === NOT_FOUND) return undefined;
  if (failure !== undefined) throw helperError('getting', failure, output);
  const { Username, Secret } = parseAnswer(helper, 'getting', output) as Record<string, unknown>;
  if (typeof Username !== 'string' || typeof Secret !== 'string')
    throw helperError('getting', `docker-credential-${helper} gives no Username and Secret`, '');
  return Username === TOKEN_USER
    ? { username: '', password: '', identitytoken: Secret, serveraddress: server }
    : { username: Username, password: Secret, serveraddress: server };
}

export async function storeInHelper(
  helper: string,
  auth: AuthConfig,
  io: Pick<Io, 'env' | 'stderr'>,
): Promise<void> {
  const { serveraddress, username = '', password = '', identitytoken } = auth;
  const [Username, Secret] = identitytoken ? [TOKEN_USER, identitytoken] : [username, password];
  const input = JSON.stringify({ ServerURL: serveraddress, Username, Secret });
  const { failure, output } = await run(helper, 'store', input, io);
  if (failure !== undefined) throw helperError('storing', failure, output);
}

/** Nothing to erase is no error. */
export async function eraseInHelper(
  helper: string,
  server: string,
  io: Pick<Io, 'env' | 'stderr'>,
): Promise<void> {
  const { failure, output } = await run(helper, 'erase', server, io);
  if (failure !== undefined && output !== NOT_FOUND) throw helperError('erasing', failure, output);
}

/** The servers that the helper has credentials of. */
export async function listHelper(helper: string, io: Pick<Io, 'env' | 'stderr'>): Promise<string[]> {
  const { failure, output } = await run(helper, 'list', 'unused', io);
  if (failure !== undefined) throw helperError('listing', failure, output);
  return Object.keys(parseAnswer(helper, 'listing', output));
}

function parseAnswer(helper: string, action: string, output: string): object {
  let value: unknown;
  try {
    value = JSON.parse(output);
  } catch {
    // The text may hold a password: it is not shown.
  }
  if (typeof value === 'object' && value !== null) return value;
  throw helperError(action, `the answer of docker-credential-${helper} is not a JSON object`, '');
}

function helperError(action: string, failure: string, output: string): Error {
  return new Error(`error ${action} credentials - err: ${failure}, out: \`${output}\``);
}

/** `failure` in Go's words for how a program ended. */
async function run(
  helper: string,
  verb: string,
  input: string,
  io: Pick<Io, 'env' | 'stderr'>,
): Promise<{ failure: string | undefined; output: string }> {
  const program = `docker-credential-${helper}`;
  const child = spawn(program, [verb], { env: io.env, stdio: 'pipe' });
  const chunks: Buffer[] = [];
  let length = 0;
  child.stdout.on('data', (chunk: Buffer) => {
    length += chunk.length;
    if (length <= MAX_ANSWER_BYTES) chunks.push(chunk);
    else child.kill();
  });
  child.stderr.on('data', (chunk: Buffer) => io.stderr.write(chunk));
  // A helper that does not read its input is not in the wrong.
  child.stdin.on('error', () => {});
  child.stdin.end(input);
  const failure = await new Promise<string | undefined>((resolve) => {
    child.once('error', (error: NodeJS.ErrnoException) => {
      const missing = error.code === 'ENOENT';
      const reason = missing ? 'executable file not found in $PATH' : error.message;
      resolve(`exec: "${program}": ${reason}`);
    });
    child.once('close', (code, signal) => {
      if (length > MAX_ANSWER_BYTES) resolve(`answer of more than ${MAX_ANSWER_BYTES} bytes`);
      else if (code === 0) resolve(undefined);
      else resolve(signal === null ? `exit status ${code}` : `signal: ${signal}`);
    });
  });
  return { failure, output: Buffer.concat(chunks).toString().trim() };
}
