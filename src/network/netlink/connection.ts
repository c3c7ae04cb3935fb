/**
 * A netlink socket and requests over it: messages go out in one send, answers come back matched to them, and the
 * kernel's refusals become errors that name what was being done.
 */
import { closeSync } from 'node:fs';
import { constants } from 'node:os';
import { InternalError } from '../../base/errors.ts';
import { Mutex } from '../../base/mutex.ts';
import { beginSpan, inSpan } from '../../base/spans.ts';
import { addon } from '../../native/addon.ts';
import type { NetlinkMessage } from './message.ts';
import {
  attributeString,
  MessageWriter,
  NLM_F_ACK_TLVS,
  NLM_F_DUMP,
  NLM_F_DUMP_INTR,
  NLM_F_REQUEST,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSG_HEADER_BYTES,
  parseAttributes,
  parseMessages,
} from './message.ts';

export const NETLINK_ROUTE = 0;
export const NETLINK_NETFILTER = 12;

/** A list that changes faster than it can be read so many times is taken as it is. */
const DUMPS_MAX = 20;

/** NLMSGERR_ATTR_MSG: the kernel's own sentence about an error. */
const ERROR_ATTRIBUTE_MESSAGE = 1;

const ERRNO_NAMES = new Map(Object.entries(constants.errno).map(([name, number]) => [number, name]));

/** The kernel refused a message. `code` is the errno name. */
export class NetlinkError extends InternalError {
  readonly code: string;
  readonly errno: number;

  constructor(label: string, errno: number, explanation: string) {
    const code = ERRNO_NAMES.get(errno) ?? `errno ${errno}`;
    super(`${label}: ${code}${explanation === '' ? '' : `: ${explanation}`}`);
    this.code = code;
    this.errno = errno;
  }
}

let nextSequence = 1;

/** One or more messages that go out together. */
export class NetlinkRequest {
  readonly writer = new MessageWriter();
  readonly #labels = new Map<number, { text: string; mayFail: boolean }>();
  #lists = false;

  /**
   * Adds a message; `body` writes the family's header and the attributes. `label` names the action in errors.
   * `flags` join NLM_F_REQUEST; without NLM_F_ACK or NLM_F_DUMP only a refusal is answered. The refusal of a message
   * that `mayFail` is no error.
   */
  add(
    label: string,
    type: number,
    flags: number,
    body: (writer: MessageWriter) => void,
    options: { mayFail?: boolean } = {},
  ): this {
    const sequence = nextSequence;
    nextSequence = nextSequence >= 0x7fffffff ? 1 : nextSequence + 1;
    this.#labels.set(sequence, { text: label, mayFail: options.mayFail ?? false });
    if ((flags & NLM_F_DUMP) === NLM_F_DUMP) this.#lists = true;
    this.writer.begin(type, NLM_F_REQUEST | flags, sequence);
    body(this.writer);
    this.writer.end();
    return this;
  }

  get isEmpty(): boolean {
    return this.#labels.size === 0;
  }

  /** For a trace: what its first message does. */
  get title(): string {
    const [first] = this.#labels.values();
    return first?.text ?? '';
  }

  /** The kernel's list in `answer` is of no one moment, and has to be asked for again. */
  wasInterrupted(answer: Buffer): boolean {
    return (
      this.#lists &&
      parseMessages(answer).some(
        ({ flags, sequence }) => (flags & NLM_F_DUMP_INTR) !== 0 && this.#labels.has(sequence),
      )
    );
  }

  /** The messages that carry data. Throws NetlinkError on the first refusal. */
  judge(answer: Buffer): NetlinkMessage[] {
    const data: NetlinkMessage[] = [];
    for (const message of parseMessages(answer)) {
      const label = this.#labels.get(message.sequence);
      // An answer to an earlier request that failed half-way through.
      if (label === undefined) continue;
      if (message.type !== NLMSG_ERROR && message.type !== NLMSG_DONE) {
        data.push(message);
        continue;
      }
      const errno = message.payload.length >= 4 ? -message.payload.readInt32LE(0) : 0;
      if (errno > 0 && !label.mayFail) throw new NetlinkError(label.text, errno, explanation(message));
    }
    return data;
  }
}

/** The text that the kernel adds to an error (extended acknowledgement), empty where it says nothing. */
function explanation(message: NetlinkMessage): string {
  if (message.type !== NLMSG_ERROR || (message.flags & NLM_F_ACK_TLVS) === 0) return '';
  // With CAP_ACK, which the addon sets, the request's header is repeated and its payload is not.
  const attributes = parseAttributes(message.payload.subarray(4 + NLMSG_HEADER_BYTES));
  return attributeString(attributes.get(ERROR_ATTRIBUTE_MESSAGE));
}

/** A file below /proc/sys/net, and what is written there. */
export type Setting = readonly [path: string, value: string];

/**
 * Writes settings of a namespace and sends it a request of rtnetlink, all on the thread pool: for either the kernel may
 * make the caller wait until others are done with their interfaces.
 */
export async function setUpNetns(
  netnsPath: string,
  settings: readonly Setting[],
  request: NetlinkRequest,
): Promise<NetlinkMessage[]> {
  const paths = settings.map(([path]) => path);
  const values = settings.map(([, value]) => value);
  const bytes = request.writer.finish();
  return await inSpan('netlink', request.title, async () =>
    request.judge(await addon().setUpNetns(NETLINK_ROUTE, netnsPath, paths, values, bytes)),
  );
}

export class NetlinkConnection {
  readonly #fd: number;
  readonly #mutex = new Mutex();
  #closed = false;

  /** `netnsPath` null: the namespace of the process. */
  constructor(protocol: number, netnsPath: string | null) {
    this.#fd = addon().netlinkOpen(protocol, netnsPath);
  }

  /**
   * Sends the request on the thread pool, after all earlier ones. Returns the messages that carry data. Links that it makes
   * in the namespace at `withoutIpv6` are born with IPv6 off.
   */
  async request(request: NetlinkRequest, withoutIpv6?: string): Promise<NetlinkMessage[]> {
    if (request.isEmpty) return [];
    const bytes = request.writer.finish();
    const ask = (): Promise<Buffer> =>
      this.#mutex.run(() => addon().netlinkRequest(this.#fd, bytes, withoutIpv6));
    return await inSpan('netlink', request.title, async () => {
      let answer = await ask();
      for (let count = 1; count < DUMPS_MAX && request.wasInterrupted(answer); count++) answer = await ask();
      return request.judge(answer);
    });
  }

  /** The same on the calling thread. Only for connections on which no `request` is under way. */
  requestSync(request: NetlinkRequest): NetlinkMessage[] {
    if (request.isEmpty) return [];
    const bytes = request.writer.finish();
    const ask = (): Buffer => addon().netlinkRequestSync(this.#fd, bytes);
    const ended = beginSpan('netlink', request.title);
    try {
      let answer = ask();
      for (let count = 1; count < DUMPS_MAX && request.wasInterrupted(answer); count++) answer = ask();
      return request.judge(answer);
    } finally {
      ended();
    }
  }

  /** Waits for what was asked before, then closes. Idempotent. */
  close(): Promise<void> {
    return this.#mutex.run(() => this.closeNow());
  }

  /** Closes at once; for connections that only used `requestSync`. Idempotent. */
  closeNow(): void {
    if (this.#closed) return;
    this.#closed = true;
    closeSync(this.#fd);
  }
}
