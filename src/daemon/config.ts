/**
 * The daemon's configuration: command line and configuration file (JSON, with the key names of Docker's daemon.json),
 * checked as a whole before anything is touched. A directive given in both places is an error, as in Docker, except
 * for lists, which are joined.
 */
import { existsSync, readFileSync } from 'node:fs';
import { Command } from 'commander';
import { errorMessage, InvalidParameterError } from '../base/errors.ts';
import { LOG_LEVELS } from '../base/log.ts';
import { MYDOCK_VERSION } from '../base/version.ts';
import type { CacheBudget } from '../build/cache/cache-budget.ts';
import { checkRuntimes, OWN_RUNTIME, type RuntimeConfig } from '../container/runtimes.ts';
import { convertValue, type Directive, directive, REPEATABLE } from './directive.ts';
import {
  checkLimitsConfig,
  LIMIT_DIRECTIVES,
  type LimitsConfig,
  limitsConfigDefaults,
} from './limits-config.ts';
import {
  checkNetworkConfig,
  NETWORK_DIRECTIVES,
  type NetworkConfig,
  networkDefaults,
} from './network-config.ts';
import {
  cdiFolders,
  SECURITY_DIRECTIVES,
  type SecurityConfig,
  securityConfigDefaults,
} from './security-config.ts';

export const DEFAULT_CONFIG_FILE = '/etc/mydock/daemon.json';

/** Who may use the socket beside root, where such a group exists. */
export const DEFAULT_GROUP = 'mydock';

export interface DaemonConfig extends NetworkConfig, SecurityConfig, LimitsConfig {
  dataRoot: string;
  /** At most 40 characters: socket paths below it must fit into 107 bytes. */
  execRoot: string;
  /** `unix://…`, `fd://`, `tcp://host:port`. */
  hosts: string[];
  group: string;
  logLevel: string;
  registryMirrors: string[];
  insecureRegistries: string[];
  /** Pulls are content with a local copy while its registry is out of order. */
  pullStale: boolean;
  /** Proxies of the daemon's own requests; empty for what its environment says. */
  httpProxy: string;
  httpsProxy: string;
  noProxy: string;
  /** Empty: what the data root has layers of, else the best one that the kernel can. */
  storageDriver: string;
  /** `default`, or `USER[:GROUP]` whose subordinate IDs are those of containers; empty: containers have the host's. */
  usernsRemap: string;
  dns: string[];
  dnsSearch: string[];
  dnsOptions: string[];
  init: boolean;
  /** OCI runtimes beside our own, by name. */
  runtimes: Record<string, RuntimeConfig>;
  /** The one of containers that name none. */
  defaultRuntime: string;
  /** Log driver of containers that name none. */
  logDriver: string;
  /** `key=value` or `key`, shown by `info`. */
  labels: string[];
  /** Defaults of that driver, as `--log-opt` names them. */
  logOpts: Record<string, string>;
  maxConcurrentDownloads: number;
  maxConcurrentUploads: number;
  /** Bytes a second over all pushes; 0 for no limit. */
  maxUploadRate: number;
  maxDownloadAttempts: number;
  /** Bytes a second over all pulls; 0 for no limit. */
  maxDownloadRate: number;
  /** What the build cache may keep, where it is not the default. */
  builder: Partial<CacheBudget>;
  tls: boolean;
  tlsVerify: boolean;
  tlsCaCert: string;
  tlsCert: string;
  tlsKey: string;
  pidFile: string;
  /** Where a trace goes (base/trace.ts); empty: nowhere. */
  trace: string;
}

const DIRECTIVES: readonly Directive<keyof DaemonConfig>[] = [
  directive('data-root', 'data-root', 'dataRoot', 'text', 'Folder of images, containers and volumes'),
  directive('exec-root', 'exec-root', 'execRoot', 'text', 'Folder of run-time state, gone after a reboot'),
  directive('host', 'hosts', 'hosts', 'list', 'Address to listen on: unix://PATH, fd://, tcp://HOST:PORT'),
  directive('group', 'group', 'group', 'text', 'Group that may use the Unix socket'),
  directive('log-level', 'log-level', 'logLevel', 'text', 'debug, info, warn, error or fatal'),
  directive(
    'registry-mirror',
    'registry-mirrors',
    'registryMirrors',
    'list',
    'Mirror of Docker Hub (URL) or of another registry (HOST=URL)',
  ),
  directive(
    'insecure-registry',
    'insecure-registries',
    'insecureRegistries',
    'list',
    'Registry or network without verified TLS',
  ),
  directive(
    'pull-stale',
    'pull-stale',
    'pullStale',
    'flag',
    'Allow a local copy when a registry answers 429 or cannot be reached',
  ),
  directive('http-proxy', 'proxies.http-proxy', 'httpProxy', 'text', 'Proxy for HTTP requests'),
  directive('https-proxy', 'proxies.https-proxy', 'httpsProxy', 'text', 'Proxy for HTTPS requests'),
  directive('no-proxy', 'proxies.no-proxy', 'noProxy', 'text', 'Hosts and networks that need no proxy'),
  directive('storage-driver', 'storage-driver', 'storageDriver', 'text', 'Storage driver: erofs, overlay'),
  directive(
    'userns-remap',
    'userns-remap',
    'usernsRemap',
    'text',
    'User whose subordinate IDs containers have: default, USER or USER:GROUP',
  ),
  ...NETWORK_DIRECTIVES,
  ...SECURITY_DIRECTIVES,
  ...LIMIT_DIRECTIVES,
  directive('dns', 'dns', 'dns', 'list', 'DNS server of containers'),
  directive('dns-search', 'dns-search', 'dnsSearch', 'list', 'DNS search domain of containers'),
  directive('dns-opt', 'dns-opts', 'dnsOptions', 'list', 'DNS option of containers'),
  directive('init', 'init', 'init', 'flag', 'Run an init in every container'),
  directive('add-runtime', 'runtimes', 'runtimes', 'runtimes', 'OCI runtime for --runtime: NAME=PATH'),
  directive(
    'default-runtime',
    'default-runtime',
    'defaultRuntime',
    'text',
    'Runtime of containers that name none',
  ),
  directive('log-driver', 'log-driver', 'logDriver', 'text', 'Default log driver of containers'),
  directive('label', 'labels', 'labels', 'list', 'Label of the daemon: key=value'),
  directive('log-opt', 'log-opts', 'logOpts', 'map', 'Default log option: max-size, max-file'),
  directive(
    'max-concurrent-downloads',
    'max-concurrent-downloads',
    'maxConcurrentDownloads',
    'count',
    'Layers that are downloaded at a time',
  ),
  directive(
    'max-download-attempts',
    'max-download-attempts',
    'maxDownloadAttempts',
    'count',
    'Attempts that may fail in a row before a download does',
  ),
  directive(
    'max-download-rate',
    'max-download-rate',
    'maxDownloadRate',
    'rate',
    'Bytes a second that all pulls together may download, such as 10M',
  ),
  directive(
    'max-concurrent-uploads',
    'max-concurrent-uploads',
    'maxConcurrentUploads',
    'count',
    'Layers that are uploaded at a time',
  ),
  directive(
    'max-upload-rate',
    'max-upload-rate',
    'maxUploadRate',
    'rate',
    'Bytes a second that all pushes together may upload, such as 10M',
  ),
  directive(
    'builder-gc',
    'builder',
    'builder',
    'builder',
    'Limit of the build cache: enabled=BOOL, reservedSpace=SIZE, maxUsedSpace=SIZE, minFreeSpace=SIZE',
  ),
  directive('tls', 'tls', 'tls', 'flag', 'Use TLS on TCP addresses'),
  directive('tlsverify', 'tlsverify', 'tlsVerify', 'flag', 'Use TLS and verify clients'),
  directive('tlscacert', 'tlscacert', 'tlsCaCert', 'text', 'CA that signs client certificates'),
  directive('tlscert', 'tlscert', 'tlsCert', 'text', 'Certificate of the daemon'),
  directive('tlskey', 'tlskey', 'tlsKey', 'text', 'Key of the daemon'),
  directive('pidfile', 'pidfile', 'pidFile', 'text', 'File that holds the process ID'),
  directive(
    'trace',
    'trace',
    'trace',
    'text',
    'File for a trace of all that is done, as Chrome trace events',
  ),
];

const SHORT_FLAGS: Record<string, string> = { host: '-H', group: '-G', 'log-level': '-l' };

function defaults(): DaemonConfig {
  return {
    dataRoot: '/var/lib/mydock',
    execRoot: '/run/mydock',
    hosts: [],
    group: DEFAULT_GROUP,
    logLevel: 'info',
    registryMirrors: [],
    insecureRegistries: [],
    pullStale: false,
    httpProxy: '',
    httpsProxy: '',
    noProxy: '',
    storageDriver: '',
    usernsRemap: '',
    ...networkDefaults(),
    ...securityConfigDefaults(),
    ...limitsConfigDefaults(),
    dns: [],
    dnsSearch: [],
    dnsOptions: [],
    init: false,
    runtimes: {},
    defaultRuntime: OWN_RUNTIME,
    logDriver: 'json-file',
    labels: [],
    logOpts: {},
    maxConcurrentDownloads: 3,
    maxConcurrentUploads: 5,
    maxUploadRate: 0,
    maxDownloadAttempts: 5,
    maxDownloadRate: 0,
    builder: {},
    tls: false,
    tlsVerify: false,
    tlsCaCert: '/etc/mydock/ca.pem',
    tlsCert: '/etc/mydock/cert.pem',
    tlsKey: '/etc/mydock/key.pem',
    pidFile: '',
    trace: '',
  };
}

/** The options as commander knows them; `mydock daemon` shows the same help. */
export function daemonCommand(): Command {
  const command = new Command('mydockd');
  command.description('The mydock daemon').helpOption('-h, --help', 'Print usage');
  command.version(`mydockd version ${MYDOCK_VERSION}`, '-v, --version', 'Print the version and end');
  command.showHelpAfterError("Run 'mydockd --help' for more information");
  command.option('--config-file <path>', 'Configuration file', DEFAULT_CONFIG_FILE);
  command.option('-D, --debug', 'Same as --log-level debug');
  command.option('--takeover', 'Replace the running daemon without a pause that clients notice');
  command.option('--validate', 'Check the configuration and the database, and exit');
  for (const { flag, kind, help } of DIRECTIVES) {
    const short = SHORT_FLAGS[flag];
    const name = `${short === undefined ? '' : `${short}, `}--${flag}`;
    if (kind === 'flag') command.option(name, help);
    else if (kind === 'switch') command.option(`${name} [bool]`, help);
    else if (REPEATABLE.has(kind)) {
      command.option(`${name} <value>`, `${help} (repeatable)`, (value: string, all: string[] = []) => [
        ...all,
        value,
      ]);
    } else command.option(`${name} <value>`, help);
  }
  return command;
}

/** Reads arguments (without node and script) and the configuration file. Throws InvalidParameter naming the directive. */
export function readConfig(command: Command, args: readonly string[]): DaemonConfig {
  command.parse(args, { from: 'user' });
  const given = command.opts<Record<string, unknown>>();
  const path = String(given['configFile']);
  const file = readConfigFile(path, command.getOptionValueSource('configFile') !== 'default');
  const config = defaults();
  const both: string[] = [];
  for (const { flag, key, field, kind } of DIRECTIVES) {
    const flagValue = given[camelCase(flag)];
    const fileValue = file[key];
    if (flagValue !== undefined && fileValue !== undefined && !REPEATABLE.has(kind)) both.push(key);
    const fromFlag = flagValue === undefined ? undefined : convertValue(kind, `--${flag}`, flagValue);
    const fromFile = fileValue === undefined ? undefined : convertValue(kind, `${path}: "${key}"`, fileValue);
    Object.assign(config, { [field]: join(kind, fromFile, fromFlag) ?? config[field] });
  }
  if (both.length > 0) {
    throw new InvalidParameterError(
      `the following directives are specified both as a flag and in the configuration file: ${both.join(', ')}`,
    );
  }
  if (given['debug'] === true || file['debug'] === true) config.logLevel = 'debug';
  return validate(config);
}

function readConfigFile(path: string, required: boolean): Record<string, unknown> {
  if (!existsSync(path)) {
    if (required) throw new InvalidParameterError(`configuration file ${path} does not exist`);
    return {};
  }
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    throw new InvalidParameterError(`configuration file ${path} cannot be read: ${errorMessage(error)}`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidParameterError(`configuration file ${path} is not a JSON object`);
  }
  const content = withProxies(path, value as Record<string, unknown>);
  const known = new Set(['debug', ...DIRECTIVES.map(({ key }) => key)]);
  const unknown = Object.keys(content).filter((key) => !known.has(key));
  if (unknown.length > 0) {
    throw new InvalidParameterError(
      `configuration file ${path}: the following directives don't match any configuration option: ${unknown.join(', ')}`,
    );
  }
  return content;
}

/** `{"proxies": {"no-proxy": "x"}}` as `{"proxies.no-proxy": "x"}`. */
function withProxies(path: string, file: Record<string, unknown>): Record<string, unknown> {
  const { proxies, ...others } = file;
  if (proxies === undefined || proxies === null) return others;
  if (typeof proxies !== 'object' || Array.isArray(proxies)) {
    throw new InvalidParameterError(`${path}: "proxies": invalid value ${JSON.stringify(proxies)}`);
  }
  const entries = Object.entries(proxies).map(([key, value]) => [`proxies.${key}`, value]);
  return { ...others, ...Object.fromEntries(entries) };
}

function join(kind: Directive['kind'], fromFile: unknown, fromFlag: unknown): unknown {
  if (Array.isArray(fromFile) && Array.isArray(fromFlag)) return [...fromFile, ...fromFlag];
  if (
    ['map', 'runtimes', 'features', 'ulimits', 'builder'].includes(kind) &&
    fromFile !== undefined &&
    fromFlag !== undefined
  ) {
    return { ...(fromFile as object), ...(fromFlag as object) };
  }
  return fromFlag ?? fromFile;
}

function validate(config: DaemonConfig): DaemonConfig {
  for (const [name, path] of [
    ['data-root', config.dataRoot],
    ['exec-root', config.execRoot],
  ] as const) {
    if (!path.startsWith('/')) throw new InvalidParameterError(`--${name} "${path}" is not an absolute path`);
  }
  if (Buffer.byteLength(config.execRoot) > 40) {
    throw new InvalidParameterError(`--exec-root "${config.execRoot}" is longer than 40 bytes`);
  }
  if (!(LOG_LEVELS as readonly string[]).includes(config.logLevel)) {
    throw new InvalidParameterError(
      `invalid --log-level "${config.logLevel}": one of ${LOG_LEVELS.join(', ')}`,
    );
  }
  checkNetworkConfig(config);
  cdiFolders(config);
  checkLimitsConfig(config);
  checkRuntimes(config);
  if (config.tlsVerify) config.tls = true;
  return config;
}

function camelCase(flag: string): string {
  return flag.replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
}
