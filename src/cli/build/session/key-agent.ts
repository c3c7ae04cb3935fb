/**
 * An ssh agent inside this process, for keys that `--ssh id=FILE` names: it lists them and signs with them, and refuses
 * everything else that agents do (draft-miller-ssh-agent). No key leaves it.
 */
import { agentMessages, REFUSAL, REQUEST_IDENTITIES, SIGN_REQUEST } from './agent-messages.ts';
import type { PrivateKey } from './private-key.ts';
import { SshReader, string, uint32 } from './ssh-wire.ts';

export interface AgentKey {
  readonly key: PrivateKey;
  /** The file's name, for `ssh-add -l`. */
  readonly comment: string;
}

const IDENTITIES_ANSWER = 12;
const SIGN_RESPONSE = 14;

/** Answers one connection's requests; ends where one of them is too long. */
export async function* serveKeys(
  keys: readonly AgentKey[],
  requests: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  for await (const message of agentMessages(requests)) yield string(answer(keys, message));
}

function answer(keys: readonly AgentKey[], message: Buffer): Buffer {
  try {
    if (message[0] === REQUEST_IDENTITIES) {
      const listed = keys.flatMap(({ key, comment }) => [string(key.blob), string(comment)]);
      return Buffer.concat([Buffer.from([IDENTITIES_ANSWER]), uint32(keys.length), ...listed]);
    }
    if (message[0] === SIGN_REQUEST) {
      const fields = new SshReader(message.subarray(1));
      const [blob, data, flags] = [fields.string(), fields.string(), fields.uint32()];
      const found = keys.find(({ key }) => key.blob.equals(blob));
      if (found !== undefined) {
        return Buffer.concat([Buffer.from([SIGN_RESPONSE]), string(found.key.sign(data, flags))]);
      }
    }
  } catch {
    // A request that cannot be read, or a key too small for its hash: as one that is refused.
  }
  return REFUSAL;
}
