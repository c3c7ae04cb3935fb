/**
 * What foreign nftables chains do with a packet, as far as that can be told from their rules: each test holds, does
 * not hold, or is unknown (an address, a set, a module of iptables that is not read here). Only what is certain is
 * said. Read: interfaces, families, TCP, the state and translation of the connection, verdicts, jumps, reject, and of
 * iptables' own the comment and conntrack modules and the REJECT target.
 */
import { attributeString, parseAttributes } from '../netlink/message.ts';
import type { ForeignChain, ForeignRule } from '../netlink/nft-rules.ts';

/** The first packet of a TCP connection. */
export interface ProbePacket {
  inputInterface: string;
  outputInterface: string;
  family: 4 | 6;
  /** A published port led here. */
  translated: boolean;
}

/** `maybe` where a test is unknown that decides. */
export type Outcome =
  | { verdict: 'accept' | 'maybe' }
  | { verdict: 'drop'; chain: string; handle: bigint | undefined };

type Truth = boolean | undefined;
/** What a rule does to the packet if it gets that far; `next`: the packet goes on behind it. */
type Action = { kind: 'next' | 'accept' | 'drop' | 'return' } | { kind: 'jump' | 'goto'; chain: string };

const META = { 1: 'protocol', 6: 'input', 7: 'output', 15: 'family', 16: 'transport' } as const;
const CT_STATE = 0;
const CT_STATUS = 2;
const STATE_NEW = 8;
const STATUS_DESTINATION_NAT = 0x20;
const IPPROTO_TCP = 6;
const NFPROTO = { 4: 2, 6: 10 } as const;
const ETHERTYPE = { 4: 0x0800, 6: 0x86dd } as const;
const CMP_EQUAL = 0;
const CMP_NOT_EQUAL = 1;
/** Bound on jumps one in another, as the kernel has one. */
const DEPTH_MAX = 16;
/** Bound on the whole walk. */
const STEPS_MAX = 20_000;

const TARGETS: Readonly<Record<number, Action['kind']>> = { 0: 'drop', 1: 'accept', [-5]: 'return' };
/** Expressions that neither test nor decide. */
const SIDE_EFFECTS = new Set(['counter', 'log', 'objref', 'notrack', 'dup', 'last']);

export class PacketWalk {
  readonly #chains: Map<string, ForeignChain>;
  readonly #packet: ProbePacket;
  #steps = 0;

  /** `chains` are those of one table. */
  constructor(chains: readonly ForeignChain[], packet: ProbePacket) {
    this.#chains = new Map(chains.map((chain) => [chain.name, chain]));
    this.#packet = packet;
  }

  /** Of a base chain. */
  through(chain: ForeignChain): Outcome {
    const outcome = this.#walk(chain, 0);
    if (outcome.verdict !== 'end') return outcome;
    return chain.hook?.policy === 'drop'
      ? { verdict: 'drop', chain: chain.name, handle: undefined }
      : { verdict: 'accept' };
  }

  #walk(chain: ForeignChain, depth: number): Outcome | { verdict: 'end' } {
    for (const rule of chain.rules) {
      this.#steps += 1;
      if (this.#steps > STEPS_MAX || depth > DEPTH_MAX) return { verdict: 'maybe' };
      const { holds, action } = this.#judge(rule);
      if (holds === false || action.kind === 'next') continue;
      const outcome = this.#act(action, chain, rule, depth);
      // Whether an unknown test holds matters unless it would have been the same without it.
      if (holds === undefined && outcome.verdict !== 'end') return { verdict: 'maybe' };
      if (holds === undefined && (action.kind === 'return' || action.kind === 'goto'))
        return { verdict: 'maybe' };
      if (outcome.verdict !== 'end') return outcome;
      if (action.kind === 'return' || action.kind === 'goto') return { verdict: 'end' };
    }
    return { verdict: 'end' };
  }

  #act(action: Action, chain: ForeignChain, rule: ForeignRule, depth: number): Outcome | { verdict: 'end' } {
    if (action.kind === 'accept') return { verdict: 'accept' };
    if (action.kind === 'drop') return { verdict: 'drop', chain: chain.name, handle: rule.handle };
    if (action.kind !== 'jump' && action.kind !== 'goto') return { verdict: 'end' };
    const target = this.#chains.get(action.chain);
    return target === undefined ? { verdict: 'maybe' } : this.#walk(target, depth + 1);
  }

  #judge(rule: ForeignRule): { holds: Truth; action: Action } {
    const registers = new Map<number, Buffer | undefined>();
    let holds: Truth = true;
    let action: Action = { kind: 'next' };
    for (const { name, attributes } of rule.expressions) {
      const number = (attribute: number): number => attributes.get(attribute)?.readUInt32BE(0) ?? -1;
      let truth: Truth = true;
      if (name === 'meta') registers.set(number(1), this.#meta(number(2)));
      else if (name === 'ct') registers.set(number(1), this.#connection(number(2)));
      else if (name === 'bitwise') registers.set(number(2), masked(registers.get(number(1)), attributes));
      else if (name === 'cmp') truth = compared(registers.get(number(1)), attributes);
      else if (name === 'match') truth = this.#iptablesMatch(attributes);
      else if (name === 'reject') action = { kind: 'drop' };
      else if (name === 'immediate') action = verdictOf(attributes) ?? action;
      else if (name === 'target') {
        const target = attributeString(attributes.get(1));
        if (target === 'REJECT') action = { kind: 'drop' };
      } else if (name === 'lookup' || name === 'limit' || name === 'range' || name === 'dynset') {
        // A map may hold a verdict of any kind.
        truth = undefined;
        if (name === 'lookup' && number(3) === 0)
          return { holds: undefined, action: { kind: 'goto', chain: '' } };
      } else if (!SIDE_EFFECTS.has(name)) {
        registers.set(number(1), undefined);
        if (name !== 'payload' && name !== 'fib' && name !== 'rt') truth = undefined;
      }
      if (truth === false) return { holds: false, action };
      if (truth === undefined) holds = undefined;
    }
    return { holds, action };
  }

  #meta(key: number): Buffer | undefined {
    const { inputInterface, outputInterface, family } = this.#packet;
    switch (META[key as keyof typeof META]) {
      case 'protocol':
        return Buffer.from([ETHERTYPE[family] >> 8, ETHERTYPE[family] & 255]);
      case 'input':
        return Buffer.from(inputInterface.padEnd(16, '\0'));
      case 'output':
        return Buffer.from(outputInterface.padEnd(16, '\0'));
      case 'family':
        return Buffer.from([NFPROTO[family]]);
      case 'transport':
        return Buffer.from([IPPROTO_TCP]);
      default:
        return undefined;
    }
  }

  #connection(key: number): Buffer | undefined {
    const bytes = Buffer.alloc(4);
    if (key === CT_STATE) bytes.writeUInt32LE(STATE_NEW);
    else if (key === CT_STATUS) bytes.writeUInt32LE(this.#packet.translated ? STATUS_DESTINATION_NAT : 0);
    else return undefined;
    return bytes;
  }

  /** struct xt_conntrack_mtinfo2 and 3: flags behind eight addresses, two times, and five 16-bit numbers. */
  #iptablesMatch(attributes: Map<number, Buffer>): Truth {
    const name = attributeString(attributes.get(1));
    const data = attributes.get(3) ?? Buffer.alloc(0);
    if (name === 'comment') return true;
    if (name !== 'conntrack' || data.length < 154) return undefined;
    const [flags, inverted, states] = [146, 148, 150].map((offset) => data.readUInt16LE(offset));
    // XT_CONNTRACK_STATE and nothing else.
    if (flags !== 1 || states === undefined) return undefined;
    const XT_STATE_DNAT = 0x80;
    const own = STATE_NEW | (this.#packet.translated ? XT_STATE_DNAT : 0);
    return ((states & own) !== 0) !== (inverted === 1);
  }
}

function masked(value: Buffer | undefined, attributes: Map<number, Buffer>): Buffer | undefined {
  const mask = parseAttributes(attributes.get(4) ?? Buffer.alloc(0)).get(1);
  const flip = parseAttributes(attributes.get(5) ?? Buffer.alloc(0)).get(1);
  if (value === undefined || mask === undefined || flip === undefined) return undefined;
  return Buffer.from(mask.map((byte, at) => ((value[at] ?? 0) & byte) ^ (flip[at] ?? 0)));
}

/** A shorter value is compared as far as it goes: nft tests the beginning of interface names so. */
function compared(value: Buffer | undefined, attributes: Map<number, Buffer>): Truth {
  const operation = attributes.get(2)?.readUInt32BE(0);
  const wanted = parseAttributes(attributes.get(3) ?? Buffer.alloc(0)).get(1);
  if (value === undefined || wanted === undefined) return undefined;
  const equal = wanted.equals(value.subarray(0, wanted.length));
  if (operation === CMP_EQUAL) return equal;
  return operation === CMP_NOT_EQUAL ? !equal : undefined;
}

/** Undefined where the expression only loads a value. */
function verdictOf(attributes: Map<number, Buffer>): Action | undefined {
  const verdict = parseAttributes(attributes.get(2) ?? Buffer.alloc(0)).get(2);
  if (attributes.get(1)?.readUInt32BE(0) !== 0 || verdict === undefined) return undefined;
  const parts = parseAttributes(verdict);
  const code = parts.get(1)?.readInt32BE(0) ?? 0;
  if (code === -3 || code === -4) {
    return { kind: code === -3 ? 'jump' : 'goto', chain: attributeString(parts.get(2)) };
  }
  const kind = TARGETS[code];
  return kind === undefined || kind === 'jump' || kind === 'goto' ? { kind: 'next' } : { kind };
}
