/**
 * The protocol between mydockd and a container's supervisor (mydock-runtime supervise), over an AF_UNIX stream
 * socket. Twin of native/common/protocol.h: same order, same comments, same version; both are tested on the fixtures
 * in test/fixtures/protocol/.
 *
 * A message is an 8-byte header, two little-endian 32-bit numbers (type, payload length in bytes), and a payload of
 * UTF-8 JSON, always an object. A descriptor that belongs to a message travels as SCM_RIGHTS on the message's first
 * byte; a receiver keeps received descriptors in order and gives one to each message that is defined to carry one.
 *
 * The supervisor gets its first connection as descriptor 3, and listens on the socket path of its supervisor.json
 * for later ones (a restarted daemon). Every connection is equal: each gets a STATUS first and every event after it.
 * Commands are handled in the order in which they arrive; a daemon may send ATTACH and START without waiting. A
 * connection that breaks the protocol, or leaves more than 1 MiB of events unread, is closed.
 *
 * "process" names a process of the container: "" is its init, anything else is an exec ID chosen by the daemon.
 *
 * Supervisors outlive daemons, so that builds of different age meet. Messages get fields, never lose them or change
 * what they mean, and who does not know a field or an event passes over it. The version is raised with every new
 * command, which a daemon sends to no supervisor older than that; "oldest" in STATUS (absent: 1) is raised where a
 * supervisor no longer does what older daemons expect. STATUS, EXITED and KILL stay what they are for ever: whatever
 * the versions, a container can be seen, ended and removed.
 */
import type { Process } from '../oci/runtime-spec.ts';

export const PROTOCOL_VERSION = 1;
export const PROTOCOL_HEADER_BYTES = 8;
export const PROTOCOL_PAYLOAD_MAX = 1024 * 1024;
export const PROTOCOL_CONTROL_FD = 3;

/** Commands, daemon to supervisor. */
export interface Commands {
  /** Lets the created init execute. Answered by `started` or `failed`. */
  start: Record<string, never>;
  /** Sends the signal number to the process, or with `all` to all in the cgroup. */
  kill: { process: string; signal: number; all: boolean };
  /** Sets the size of the process's terminal. Ignored without one. */
  resize: { process: string; rows: number; cols: number };
  /**
   * Starts a process in the container's namespaces. `stdin`: keep a stdin pipe for `attach`, else /dev/null. Its
   * start waits for the `startExec` message.
   */
  exec: { process: string; spec: Process; stdin: boolean };
  /** Runs a process declared by `exec`. Answered by `started` or `failed`, later by `exited`. */
  startExec: { process: string };
  /**
   * With one descriptor, a stream socket: from here on the supervisor reads stdin from it and writes output to it.
   * `framed`: output in Docker's 8-byte stream framing, else raw. `detachKeys`: byte values, empty for none. `head`:
   * base64 of stdin bytes that were read from the socket before it was handed over. `attachment`: a number chosen by
   * the daemon.
   */
  attach: {
    process: string;
    attachment: number;
    stdin: boolean;
    stdout: boolean;
    stderr: boolean;
    framed: boolean;
    detachKeys: number[];
    head: string;
  };
  /** Lets go of an attachment. */
  detach: { process: string; attachment: number };
}

/** Events, supervisor to daemon. */
export interface Events {
  /**
   * The first message on each connection. `processes`: running execs; `ended` (absent where there are none): the last
   * execs whose `exited` no daemon may have read, oldest first. Times are RFC 3339, nanoseconds; `startedAt` is empty
   * before the start.
   */
  status: {
    version: number;
    /** The oldest protocol that a daemon may speak with this supervisor. */
    oldest?: number;
    id: string;
    pid: number;
    state: 'created' | 'running';
    startedAt: string;
    processes: { process: string; pid: number }[];
    ended?: { process: string; exitCode: number }[];
  };
  /** The process's program executes. */
  started: { process: string; pid: number; startedAt: string };
  /**
   * It does not: `exitCode` is 127 where the program was not found, 126 where it cannot be executed, 125 for all
   * else; `errno` is a name, "" for none. After a failed init the supervisor cleans up and leaves. Attachments of the process end first, and
   * their sockets are closed without shutdown(2): a daemon that kept its own descriptor can still answer on it.
   */
  failed: {
    process: string;
    exitCode: 125 | 126 | 127;
    step: string;
    object: string;
    errno: string;
    message: string;
  };
  /**
   * It ended. `exitCode` is 128+n after signal n. Of an exec this comes before its attachments end, so that a client
   * that sees the end of the output finds the exit code known. Of the init it comes when its output was delivered, the
   * exit record stands and the socket is gone; the supervisor leaves after this. Output is waited for until no client
   * has taken any for 10 s; one that lags behind by more still gets all of it, and `detached` comes after `exited`.
   */
  exited: { process: string; exitCode: number; signal: number; oomKilled: boolean; exitedAt: string };
  /** An attachment ended: `detached` (keys or `detach`), `closed` (the client went away), `ended` (the process did). */
  detached: { process: string; attachment: number; reason: 'detached' | 'closed' | 'ended' };
  /**
   * The container is out of memory: the kernel killed one of its processes, or, without OOM killer, makes them wait.
   * Before the `exited` that may follow from it.
   */
  oom: Record<string, never>;
  /**
   * Where the time went, for a trace, in a supervisor that was started with MYDOCK_STEP_TIMES in its environment: what
   * was passed since the last such message and when, in microseconds of Unix time, by which process as it is numbered
   * itself. Before `started`, `failed` and `exited`.
   */
  steps: { steps: { label: string; process: number; atUs: number }[] };
}

export const COMMAND_TYPES: { readonly [K in keyof Commands]: number } = {
  start: 1,
  kill: 2,
  resize: 3,
  exec: 4,
  startExec: 5,
  attach: 6,
  detach: 7,
};

/** The version of the protocol that brought each command. */
export const COMMAND_VERSIONS: { readonly [K in keyof Commands]: number } = {
  start: 1,
  kill: 1,
  resize: 1,
  exec: 1,
  startExec: 1,
  attach: 1,
  detach: 1,
};

export const EVENT_TYPES: { readonly [K in keyof Events]: number } = {
  status: 64,
  started: 65,
  failed: 66,
  exited: 67,
  detached: 68,
  oom: 69,
  steps: 70,
};

/** What becomes of the output of the init. */
export interface SupervisorLog {
  /** Log in the json-file format; null: lines are forwarded only. */
  path: string | null;
  /** 0: never rotated. */
  maxBytes: number;
  /** Counts all files: `path`, `path.1`, … */
  maxFiles: number;
  /** Rotated files are compressed: `path.1.gz`, …, with the inode of the plain file as the name in the gzip header. */
  compress?: boolean;
  /** Constant `attrs` object of each line, null for none. */
  attributes: Record<string, string> | null;
  /** Where lines go as well. */
  forward?: LogForward | null;
}

/**
 * A journal or syslog server. `path` is that of a Unix socket; where it is empty, `address` (numeric) and `port`
 * count. `stream`: TCP or a Unix stream; a Unix socket of the other kind is taken as well. `blocking`: a receiver that
 * is slow slows the container down; else, and while it is away, what does not fit into `maxQueueBytes` is dropped.
 */
export type LogForward = {
  path: string;
  address: string;
  port: number;
  stream: boolean;
  blocking: boolean;
  maxQueueBytes: number;
} & (
  | {
      /** journald's native protocol, with these fields in every entry. */
      style: 'journald';
      fields: Record<string, string>;
    }
  | {
      /** RFC 3164 (`local`: without the host's name, as local sockets take it) or RFC 5424. */
      style: 'local' | 'rfc3164' | 'rfc5424' | 'rfc5424micro';
      /** 0 to 23. */
      facility: number;
      hostname: string;
      tag: string;
    }
);

/**
 * `supervisor.json` beside the bundle's `config.json`: what the supervisor needs to know beyond the OCI bundle.
 * Paths are absolute.
 */
export interface SupervisorConfig {
  /** The container's ID, 64 hex digits. */
  id: string;
  /** Where the supervisor listens for later control connections. */
  socket: string;
  /** Where the exit record (an `ExitRecord` as JSON) is renamed to when the init has ended. */
  exitRecord: string;
  /** Null: output goes to attachments only. */
  log: SupervisorLog | null;
  /** Keep a stdin for attachments (Docker's OpenStdin); without it stdin is /dev/null, or a terminal that reads nothing. */
  stdin: boolean;
  /** Close stdin when the first attachment that has stdin ends (Docker's StdinOnce). */
  stdinOnce: boolean;
  /** Folder of compiled seccomp filters, named by a hash of the profile; created by the daemon, mode 0700. */
  seccompCache: string;
  /** `linux.cgroupsPath` is `slice:prefix:name`, and systemd makes the group. */
  systemdCgroup?: boolean;
  /** Another OCI runtime: its program, its own arguments, and the folder of its state (`--root`). Absent: mydock-runtime. */
  runtime?: { path: string; arguments: readonly string[]; root: string };
}

/**
 * What outlives the supervisor. For a start that failed, `error` is the message, `exitCode` that of `failed` and
 * `startedAt` empty.
 */
export interface ExitRecord {
  exitCode: number;
  signal: number;
  oomKilled: boolean;
  startedAt: string;
  exitedAt: string;
  error: string;
}

/** One message as bytes, header included. */
export function encodeMessage(type: number, payload: object): Buffer {
  const body = Buffer.from(JSON.stringify(payload));
  if (body.length > PROTOCOL_PAYLOAD_MAX) {
    throw new RangeError(`supervisor message of ${body.length} bytes exceeds ${PROTOCOL_PAYLOAD_MAX}`);
  }
  const message = Buffer.allocUnsafe(PROTOCOL_HEADER_BYTES + body.length);
  message.writeUInt32LE(type, 0);
  message.writeUInt32LE(body.length, 4);
  body.copy(message, PROTOCOL_HEADER_BYTES);
  return message;
}

export type EventMessage = { [K in keyof Events]: { event: K; payload: Events[K] } }[keyof Events];

const EVENT_NAMES = new Map(Object.entries(EVENT_TYPES).map(([name, type]) => [type, name]));

/** Cuts a byte stream into event messages. Unknown types are skipped, so that a newer supervisor can say more. */
export class EventDecoder {
  #pending: Buffer = Buffer.alloc(0);

  /** Whether a message has begun that is not complete. */
  get partial(): boolean {
    return this.#pending.length > 0;
  }

  /** Takes the next bytes and returns the messages that are complete now. Throws RangeError on an oversized one. */
  push(chunk: Buffer): EventMessage[] {
    this.#pending = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    const messages: EventMessage[] = [];
    while (this.#pending.length >= PROTOCOL_HEADER_BYTES) {
      const type = this.#pending.readUInt32LE(0);
      const length = this.#pending.readUInt32LE(4);
      if (length > PROTOCOL_PAYLOAD_MAX) {
        throw new RangeError(`supervisor message of ${length} bytes exceeds ${PROTOCOL_PAYLOAD_MAX}`);
      }
      const end = PROTOCOL_HEADER_BYTES + length;
      if (this.#pending.length < end) break;
      const event = EVENT_NAMES.get(type);
      if (event !== undefined) {
        const payload: unknown = JSON.parse(this.#pending.toString('utf8', PROTOCOL_HEADER_BYTES, end));
        messages.push({ event, payload } as EventMessage);
      }
      this.#pending = this.#pending.subarray(end);
    }
    return messages;
  }
}
