/**
 * Messages to and from ssh agents (draft-miller-ssh-agent, section 3), and which of them a step's program may send: to list
 * keys and to sign. Others add keys, take them away or have the agent load libraries, and are for the user alone.
 */
export const REQUEST_IDENTITIES = 11;
export const SIGN_REQUEST = 13;

/** The answer to what an agent does not do. */
export const REFUSAL = Buffer.from([5]);

const MESSAGE_MAX_BYTES = 256 * 1024;

export function isForSteps(message: Buffer): boolean {
  return message[0] === REQUEST_IDENTITIES || message[0] === SIGN_REQUEST;
}

/** Each message without its length. Ends where one is longer than agents take. */
export async function* agentMessages(stream: AsyncIterable<Uint8Array>): AsyncGenerator<Buffer> {
  let pending = Buffer.alloc(0);
  for await (const data of stream) {
    pending = Buffer.concat([pending, data]);
    while (pending.length >= 4) {
      const length = pending.readUInt32BE();
      if (length > MESSAGE_MAX_BYTES) return;
      if (pending.length < 4 + length) break;
      yield pending.subarray(4, 4 + length);
      pending = pending.subarray(4 + length);
    }
  }
}
