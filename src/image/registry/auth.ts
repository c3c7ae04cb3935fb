/**
 * Authorisation towards one repository: reads the registry's challenge, fetches bearer tokens from its token server
 * (distribution "token" and "oauth2" specifications), keeps them until they expire, or sends Basic credentials.
 * Credentials go to the registry and to the token server that it names over TLS, and to nobody else.
 */
import { UnauthorizedError } from '../../base/errors.ts';
import { abortable } from '../abortable.ts';
import { JsonReader } from '../json.ts';
import { readBody } from './body.ts';
import { type Challenge, parseChallenges } from './challenge.ts';
import type { RegistryAuth } from './credentials.ts';
import { codedError, parseErrorResponse, TransportError } from './errors.ts';
import type { ResolvedRegistryOptions } from './options.ts';
import { isLoopbackHost } from './proxy.ts';
import type { Transport } from './transport.ts';

const TOKEN_TIMEOUT_MS = 60_000;
const MAX_TOKEN_RESPONSE_BYTES = 1 << 20;
/** What the specification says where `expires_in` is absent. */
const DEFAULT_EXPIRY_SEC = 60;
/** Tokens are renewed this long before they end, at the latest at half their time. */
const EXPIRY_MARGIN_MS = 10_000;

export interface AuthorizerOptions {
  transport: Transport;
  registry: ResolvedRegistryOptions;
  /** The registry's URL. */
  baseUrl: URL;
  /**
   * What tokens are asked for: `repository:library/ubuntu:pull`, several of them with spaces between; empty to ask for
   * nothing but who one is.
   */
  scope: string;
  credentials: RegistryAuth;
  insecureHosts: ReadonlySet<string>;
  /** Ask the token server for a refresh token as well ("Requesting a Token", `offline_token`). Default false. */
  offline?: boolean;
}

interface Authorization {
  header: string;
  /** Milliseconds since the epoch; Infinity for what does not expire. */
  validUntil: number;
}

export class Authorizer {
  readonly #options: AuthorizerOptions;
  #current: Authorization | undefined;
  #challenge: Challenge | undefined;
  #pending: Promise<Authorization> | undefined;
  #refreshToken: string | undefined;

  constructor(options: AuthorizerOptions) {
    this.#options = options;
    const { registrytoken } = options.credentials;
    if (registrytoken !== undefined) {
      this.#current = { header: `Bearer ${registrytoken}`, validUntil: Number.POSITIVE_INFINITY };
    }
  }

  /** The refresh token that came with a bearer token; undefined where the token server gave none. */
  get refreshToken(): string | undefined {
    return this.#refreshToken;
  }

  /** The `Authorization` header for the next request; undefined as long as the registry asked for none. */
  async header(signal: AbortSignal): Promise<string | undefined> {
    if (
      this.#current !== undefined &&
      this.#current.validUntil <= Date.now() &&
      this.#challenge !== undefined
    ) {
      await this.#renew(signal);
    }
    return this.#current?.header;
  }

  /**
   * Answers a 401. `used` is the header that was refused. Returns whether another try makes sense; throws
   * Unauthorized where credentials are asked for and there are none, or the token server refuses.
   */
  async answer(challengeHeader: string, used: string | undefined, signal: AbortSignal): Promise<boolean> {
    if (this.#current !== undefined && this.#current.header !== used) return true;
    if (this.#options.credentials.registrytoken !== undefined) return false;
    const challenges = parseChallenges(challengeHeader);
    const bearer = challenges.find(
      ({ scheme, parameters }) => scheme === 'bearer' && parameters.has('realm'),
    );
    const basic = challenges.find(({ scheme }) => scheme === 'basic');
    const chosen = bearer ?? basic;
    if (chosen === undefined) return false;
    if (chosen === basic && used?.startsWith('Basic ') === true) return false;
    this.#challenge = chosen;
    await this.#renew(signal);
    return true;
  }

  /** Requests that find the token expired at the same time share one new one, whichever of them is given up. */
  async #renew(signal: AbortSignal): Promise<void> {
    this.#pending ??= this.#obtain(AbortSignal.timeout(TOKEN_TIMEOUT_MS)).finally(() => {
      this.#pending = undefined;
    });
    this.#current = await abortable(this.#pending, signal);
  }

  async #obtain(signal: AbortSignal): Promise<Authorization> {
    const challenge = this.#challenge;
    if (challenge?.scheme === 'bearer') return await this.#fetchToken(challenge, signal);
    const { username, password } = this.#options.credentials;
    if (username === undefined) {
      const { origin, pathname } = this.#options.baseUrl;
      throw new UnauthorizedError(
        `Get "${origin}${pathname.replace(/\/$/, '')}/v2/": no basic auth credentials`,
      );
    }
    return { header: basicHeader(username, password ?? ''), validUntil: Number.POSITIVE_INFINITY };
  }

  async #fetchToken(challenge: Challenge, signal: AbortSignal): Promise<Authorization> {
    const request = this.#tokenRequest(challenge);
    const { transport, insecureHosts, registry } = this.#options;
    const { response, url } = await transport.send({ ...request, insecureHosts, signal });
    const body = await readBody(response, {
      url,
      signal,
      stallTimeoutMs: registry.stallTimeoutMs,
      maxBytes: MAX_TOKEN_RESPONSE_BYTES,
      tooLong: () =>
        new TransportError(`GET "${url.origin}${url.pathname}": token response is too large`, 'TOKEN'),
    });
    if (response.status === 401 || response.status === 403) {
      const refused = parseErrorResponse(response.status, response.statusText, body.toString());
      throw new UnauthorizedError(`Get "${url.origin}${url.pathname}": ${refused.message}`, refused);
    }
    if (!response.ok) throw parseErrorResponse(response.status, response.statusText, body.toString());
    this.#refreshToken = JsonReader.parse(body, 'token response').string('refresh_token') || undefined;
    return parseToken(body);
  }

  #tokenRequest(challenge: Challenge): {
    method: 'GET' | 'POST';
    url: URL;
    headers: Record<string, string>;
    body?: string;
  } {
    const { scope, credentials } = this.#options;
    const url = this.#realm(challenge, credentials);
    const service = challenge.parameters.get('service') ?? '';
    const { username, password, identitytoken } = credentials;
    if (identitytoken !== undefined) {
      const form = new URLSearchParams({ grant_type: 'refresh_token', service, client_id: 'mydock' });
      if (scope !== '') form.set('scope', scope);
      form.set('refresh_token', identitytoken);
      const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
      return { method: 'POST', url, headers, body: form.toString() };
    }
    if (service !== '') url.searchParams.set('service', service);
    for (const one of scope.split(' ')) if (one !== '') url.searchParams.append('scope', one);
    if (this.#options.offline === true) {
      url.searchParams.set('offline_token', 'true');
      url.searchParams.set('client_id', 'mydock');
    }
    if (username === undefined) return { method: 'GET', url, headers: {} };
    url.searchParams.set('account', username);
    return { method: 'GET', url, headers: { Authorization: basicHeader(username, password ?? '') } };
  }

  #realm(challenge: Challenge, credentials: RegistryAuth): URL {
    const realm = challenge.parameters.get('realm') ?? '';
    let url: URL;
    try {
      url = new URL(realm, this.#options.baseUrl);
    } catch (error) {
      throw new TransportError(
        `registry ${this.#options.baseUrl.host} names an invalid token server`,
        'TOKEN',
        error,
      );
    }
    const secret = credentials.identitytoken !== undefined || credentials.username !== undefined;
    const trusted = isLoopbackHost(url.hostname) || this.#options.insecureHosts.has(url.host);
    if (url.protocol !== 'https:' && !(url.protocol === 'http:' && (trusted || !secret))) {
      throw new UnauthorizedError(
        `registry ${this.#options.baseUrl.host} asks to send credentials to ${url.origin}, which is not encrypted`,
      );
    }
    return url;
  }
}

function basicHeader(username: string, password: string): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString('base64')}`;
}

function parseToken(body: Buffer): Authorization {
  const json = JsonReader.parse(body, 'token response');
  const token = json.string('token') || json.string('access_token') || '';
  if (token === '' || !/^[\x21-\x7e]+$/.test(token))
    throw new TransportError('authorization server did not include a token in the response', 'TOKEN');
  const seconds = Math.max(json.integer('expires_in') ?? DEFAULT_EXPIRY_SEC, DEFAULT_EXPIRY_SEC);
  const margin = Math.min(EXPIRY_MARGIN_MS, seconds * 500);
  return { header: `Bearer ${token}`, validUntil: Date.now() + seconds * 1000 - margin };
}

/** The registry still says no after authorisation: which of Docker's two refusals it is. */
export function refusal(challengeHeader: string): Error | undefined {
  const error = parseChallenges(challengeHeader)
    .find(({ scheme }) => scheme === 'bearer')
    ?.parameters.get('error');
  if (error === 'insufficient_scope') return codedError(401, 'DENIED');
  if (error === 'invalid_token') return codedError(401, 'UNAUTHORIZED');
  return undefined;
}
