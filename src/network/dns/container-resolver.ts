/**
 * What one container's queries are answered with: names and addresses of containers that it can see, from here; all
 * others by the name servers behind us, as far as its networks and its egress policy let it.
 *
 * A name that is ours is never forwarded: of a family or type that it does not have, the answer is empty. Names outside
 * the policy are NXDOMAIN, which every client takes for an answer; REFUSED and SERVFAIL make some ask for seconds.
 */
import { errorMessage } from '../../base/errors.ts';
import { log } from '../../base/log.ts';
import type { Admission } from '../egress/admission.ts';
import { admissionSec } from '../egress/admission.ts';
import { allowsName } from '../egress/policy.ts';
import {
  addressBytes,
  contains,
  formatAddress,
  type IpAddress,
  parseSubnet,
  readAddress,
  type Subnet,
} from '../ip-address.ts';
import type { AdmittedAddress, DnsSandbox, NameSource, RefusedNames } from './dns-sandbox.ts';
import { Forwarder } from './forwarder.ts';
import type { HostServers } from './host-servers.ts';
import type { Transport } from './listener.ts';
import type { OwnRecord, Query } from './message.ts';
import {
  buildReply,
  CLASS,
  datagramLimit,
  MESSAGE_BYTES_MAX,
  RCODE,
  readQuery,
  TYPE,
  truncate,
} from './message.ts';
import { encodeName } from './name.ts';
import type { QueryGate } from './query-gate.ts';
import { addressOfReverseName } from './reverse-name.ts';
import type { Upstream } from './upstream.ts';
import { answeredAddresses } from './upstream-answer.ts';

/** Docker's. */
const TTL_SEC = 600;
const RECENT_MAX = 20;
const WARN_INTERVAL_MS = 10_000;

/** What all resolvers of a daemon have in common. */
export interface ResolverShared {
  names: NameSource;
  onAnswer: (containerId: string, name: string, addresses: AdmittedAddress[]) => Promise<void>;
  admission: Admission;
  gate: QueryGate;
  hostServers: HostServers;
  /** Asks the host's servers. */
  hostForwarder: Forwarder;
}

export class ContainerResolver {
  readonly #shared: ResolverShared;
  readonly #ownForwarder = new Forwarder();
  #sandbox: DnsSandbox;
  #policySubnets: Subnet[];
  readonly #end = new AbortController();
  #warnedMs = Number.NEGATIVE_INFINITY;
  #refusedQueries = 0;
  readonly #refusedRecently: { time: string; name: string }[] = [];

  constructor(sandbox: DnsSandbox, shared: ResolverShared) {
    this.#shared = shared;
    this.#sandbox = sandbox;
    this.#policySubnets = policySubnets(sandbox);
  }

  /** Counts from the next query on. */
  update(sandbox: DnsSandbox): void {
    this.#sandbox = sandbox;
    this.#policySubnets = policySubnets(sandbox);
  }

  /** Lets go of what is under way: nothing of it reaches the firewall any more. */
  close(): void {
    this.#end.abort();
    this.#shared.gate.forget(this.#sandbox.containerId);
  }

  refusedNames(): RefusedNames {
    return { queries: this.#refusedQueries, recent: this.#refusedRecently.toReversed() };
  }

  /** The answer to what a client sent; undefined where it gets none. Never throws or rejects. */
  handle(packet: Buffer, transport: Transport): Buffer | undefined | Promise<Buffer | undefined> {
    const received = readQuery(packet);
    if (received === undefined || 'reply' in received) return received?.reply;
    const { query } = received;
    const limit = transport === 'udp' ? datagramLimit(query) : MESSAGE_BYTES_MAX;
    const reply = (rcode: number, records: readonly OwnRecord[] = []) =>
      buildReply(query, rcode, records, limit);
    if (query.edns !== undefined && query.edns.version > 0) return reply(RCODE.badVersion);
    const records = this.#ownRecords(query);
    if (records !== undefined) return reply(RCODE.success, records);
    if (!this.#mayAsk(query)) return reply(RCODE.nameError);
    if (!this.#sandbox.external) return reply(RCODE.serverFailure);
    return this.#forward(query, limit).catch((error: unknown) => {
      this.#warn(error);
      return reply(RCODE.serverFailure);
    });
  }

  /** Now and then: the container decides how many queries there are. */
  #warn(error: unknown): void {
    const now = performance.now();
    if (now - this.#warnedMs < WARN_INTERVAL_MS) return;
    this.#warnedMs = now;
    const { containerId } = this.#sandbox;
    log.warn({ container: containerId, reason: errorMessage(error) }, 'dns: a query cannot be answered');
  }

  /** Undefined where the question is not about a name or address of ours. */
  #ownRecords({ question }: Query): OwnRecord[] | undefined {
    const { name, type } = question;
    if (name === undefined || name === '') return undefined;
    if (question.class !== CLASS.internet && question.class !== CLASS.any) return undefined;
    const { names } = this.#shared;
    const { containerId } = this.#sandbox;
    const addresses = names.forward(containerId, name);
    if (addresses !== undefined) return shuffled(addressRecords(addresses, type));
    if (type !== TYPE.ptr && type !== TYPE.any) return undefined;
    const address = addressOfReverseName(name);
    const target = address === undefined ? undefined : names.reverse(containerId, formatAddress(address));
    const data = target === undefined ? undefined : encodeName(target);
    return data === undefined ? undefined : [{ type: TYPE.ptr, ttlSec: TTL_SEC, data }];
  }

  /** What the policy says to a name that is not ours; addresses of its subnets may be looked up. */
  #mayAsk({ question: { name } }: Query): boolean {
    const { policy } = this.#sandbox;
    if (policy === null) return true;
    if (name !== undefined && allowsName(policy, name)) return true;
    const address = name === undefined ? undefined : addressOfReverseName(name);
    if (address !== undefined && this.#policySubnets.some((subnet) => contains(subnet, address))) return true;
    this.#refusedQueries += 1;
    this.#refusedRecently.push({ time: new Date().toISOString(), name: name ?? '(unprintable)' });
    if (this.#refusedRecently.length > RECENT_MAX) this.#refusedRecently.shift();
    return false;
  }

  async #forward(query: Query, limitBytes: number): Promise<Buffer | undefined> {
    const { containerId, policy } = this.#sandbox;
    const answer = await this.#shared.gate.run(containerId, () => this.#ask(query, limitBytes));
    if (answer === undefined || this.#end.signal.aborted) return undefined;
    if (policy !== null) await this.#admit(query, answer);
    return answer.length > limitBytes ? truncate(answer, query.question) : answer;
  }

  async #ask(query: Query, limitBytes: number): Promise<Buffer> {
    const { servers, netnsPath, policy } = this.#sandbox;
    const { hostServers, hostForwarder } = this.#shared;
    const own = servers.length > 0;
    const from = own && policy === null ? netnsPath : null;
    const upstreams: Upstream[] = (own ? servers : hostServers.list()).map((address) => ({
      address,
      netnsPath: from,
    }));
    const forwarder = own ? this.#ownForwarder : hostForwarder;
    const answer = await forwarder.ask(query, upstreams, limitBytes, this.#end.signal);
    return answer ?? buildReply(query, RCODE.serverFailure, [], limitBytes);
  }

  /** Returns when the firewall lets the container reach what the answer names. */
  async #admit(query: Query, answer: Buffer): Promise<void> {
    const { admission, onAnswer } = this.#shared;
    const { name } = query.question;
    if (name === undefined) return;
    const addresses = answeredAddresses(answer)
      .filter(({ address }) => admission.admits(address))
      .map(({ address, ttlSec }) => ({ address: formatAddress(address), ttlSec: admissionSec(ttlSec) }));
    if (addresses.length > 0) await onAnswer(this.#sandbox.containerId, name, addresses);
  }
}

function policySubnets({ policy }: DnsSandbox): Subnet[] {
  return policy?.subnets.map(parseSubnet) ?? [];
}

function addressRecords(addresses: readonly string[], type: number): OwnRecord[] {
  return addresses
    .map(readAddress)
    .filter((address) => address !== undefined)
    .map((address) => ({ type: recordType(address), ttlSec: TTL_SEC, data: addressBytes(address) }))
    .filter((record) => type === TYPE.any || record.type === type);
}

function recordType({ family }: IpAddress): number {
  return family === 4 ? TYPE.a : TYPE.aaaa;
}

/** By chance, not in turns: clients ask for both families and for several names, which turns would fall in step with. */
function shuffled(records: OwnRecord[]): OwnRecord[] {
  const order = records.map((record) => ({ record, place: Math.random() }));
  return order.sort((a, b) => a.place - b.place).map(({ record }) => record);
}
