/**
 * The only loader of addon.node, and its contract: the system calls that Node does not offer. Policy stands above
 * it; a function here does one thing and throws an Error with `code` (errno name), `errno`, `syscall` and, where
 * there is one, `path`. Synchronous functions never wait for anything but the kernel's own work; what can take
 * longer returns a promise and runs on the thread pool. Paths are Buffers or UTF-8 strings. Every descriptor made
 * here is O_CLOEXEC; close them with fs.closeSync.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';

export interface Addon {
  /**
   * Starts a program with vfork semantics, from a thread of the pool, in a session of its own, with default signal
   * dispositions and an empty signal mask. `fds[i]` becomes the child's descriptor i, and may be closed when the call has
   * resolved; all others are closed. Resolves to its pid; the caller reaps it with `reap`. Rejects where execve fails.
   */
  spawn(options: {
    file: string;
    args: string[];
    env: string[];
    cwd: string;
    fds: number[];
  }): Promise<number>;
  /** waitpid(WNOHANG): null while `pid` runs, else its exit code (128+n after signal n); -1 where it is no child. */
  reap(pid: number): number | null;
  /** _exit(2): ends the process at once, without handlers. */
  exitNow(code: number): never;
  /**
   * Waits until the process (any process, not only a child) is gone: pidfd_open, polled by the event loop, no thread.
   * `keepAlive` (default true): a pending wait keeps the event loop from ending. A child is still there to `reap`.
   */
  waitForExit(pid: number, keepAlive?: boolean): Promise<void>;

  /** socketpair(AF_UNIX, SOCK_STREAM), both ends non-blocking. */
  socketPair(): [number, number];
  /**
   * sendmsg(2) of all of `data` with `fds` as SCM_RIGHTS on its first byte. Waits at most `timeoutMs` (default 1000)
   * for room, then throws EAGAIN.
   */
  sendWithFds(socketFd: number, data: Uint8Array, fds: number[], timeoutMs?: number): void;
  /**
   * recvmsg(2) without waiting: null where nothing is there, no data at the end of the stream. Throws EMFILE where this
   * process may not have as many descriptors as were sent; none of that message is kept then.
   */
  receiveWithFds(socketFd: number, maxBytes: number): { data: Buffer; fds: number[] } | null;
  /** A second descriptor of the same open file. */
  duplicate(fd: number): number;
  /**
   * A non-blocking Unix socket that listens at `path`. Its file has the process's umask, and stays when the descriptor
   * is closed: libuv removes the file of a socket that it has bound itself, whoever listens on it by then.
   */
  listenUnix(path: string, backlog: number): number;
  /** SO_PEERCRED. */
  peerCredentials(socketFd: number): { pid: number; uid: number; gid: number };
  /** Adopts listening sockets of socket activation: the descriptor's family and whether it listens; throws ENOTSOCK. */
  socketInfo(fd: number): { family: 'unix' | 'inet' | 'inet6' | 'other'; listening: boolean };

  /**
   * A non-blocking socket bound to an IP address of the network namespace at `netnsPath` (null or left out: ours); TCP
   * and SCTP ones listen. The wildcard of IPv6 does not take IPv4's port. Throws EADDRINUSE at once, which net and
   * dgram would only say in an event, and EPROTONOSUPPORT where the kernel has no SCTP.
   */
  bindPort(
    protocol: 'tcp' | 'udp' | 'sctp',
    address: string,
    port: number,
    netnsPath?: string | null,
  ): number;
  /** A non-blocking socket inside the namespace at `netnsPath` (null: ours), neither bound nor connected. */
  openSocket(protocol: 'tcp' | 'udp', family: 4 | 6, netnsPath: string | null): number;
  /**
   * Clears SO_REUSEADDR. libuv sets it on every UDP socket that it takes over, and then any process could bind the same
   * port and get its datagrams, and the kernel gives one port to two sockets that have none yet: to be called after
   * dgram's `bind({ fd })`.
   */
  keepPort(fd: number): void;
  /** SO_RCVBUFFORCE, or SO_RCVBUF up to the system's limit; the kernel doubles it for its own bookkeeping. */
  setReceiveBuffer(fd: number, bytes: number): void;

  /** flock(2), never waiting: false where somebody else holds it. The lock goes with the descriptor. */
  flock(fd: number, exclusive: boolean): boolean;
  /** openat2(2). `resolve` is a set of RESOLVE_* flags; `dirFd` -100 is AT_FDCWD. */
  openat2(dirFd: number, path: string | Uint8Array, flags: number, mode: number, resolve: number): number;

  /** mount(2); `flags` are MS_*; `data` may be empty. */
  mount(source: string, target: string, type: string, flags: number, data: string): void;
  /** umount2(2); `flags` are MNT_*. */
  unmount(target: string, flags: number): void;
  /** The same on the thread pool, for what may have to wait for another host: each holds a thread until it ends. */
  mountAsync(source: string, target: string, type: string, flags: number, data: string): Promise<void>;
  unmountAsync(target: string, flags: number): Promise<void>;
  /**
   * One overlay through fsopen/fsconfig/fsmount/move_mount, so that any number of lowers fits. `lowers` topmost
   * first; `upper` and `work` empty for a read-only one. `options` are `key=value` or flags (`xino=off`,
   * `metacopy=off`, `userxattr`). `attributes` are MOUNT_ATTR_*.
   */
  mountOverlay(options: {
    lowers: string[];
    upper: string;
    work: string;
    target: string;
    options: string[];
    attributes: number;
  }): void;

  /**
   * An EROFS image, read-only, through the same calls. `source` and `devices` (in the order of the image's device table)
   * are all files, or all block devices. What the kernel says of a failure is in the message.
   */
  mountErofs(options: {
    source: string;
    devices: string[];
    target: string;
    options: string[];
    attributes: number;
  }): void;
  /**
   * Attaches a file, read-only and with sectors of 512 bytes, to a free loop device, which clears itself when its last
   * user is gone: `fd` keeps it until a mount does. `direct` asks for direct I/O, which the kernel leaves where the
   * file system cannot.
   */
  loopAttach(path: string, direct: boolean): { fd: number; device: string };

  /**
   * Makes a network namespace with its loopback up and binds it to `path` (an empty file is created). It belongs to the
   * user namespace at `userNamespace` (null or left out: ours), whose root rules it.
   */
  createNetns(path: string, userNamespace?: string | null): Promise<void>;
  /**
   * Makes a user namespace with nobody in it, owned by us, and binds it to `path` (an empty file is created). The maps
   * are lines of `/proc/PID/uid_map`: `INSIDE OUTSIDE COUNT`.
   */
  createUserNamespace(path: string, uidMap: string, gidMap: string): Promise<void>;
  /**
   * Mounts a directory or file at `target`, without what is mounted below it, so that what belongs to 0 there belongs to
   * root of the user namespace here, and so on for all that its maps have. Throws EINVAL where the file system cannot.
   */
  mountIdmapped(source: string, target: string, userNamespace: string): void;
  /**
   * setfsuid(2) and setfsgid(2) of the calling thread, with all of its capabilities kept: whose are the files that it
   * makes. 0 and 0 is what it began with.
   */
  setFileOwner(uid: number, gid: number): void;
  /**
   * Makes those of `folders`, then of `files`, that a root lacks: empty, with modification times of 0, owned by `uid` and
   * `gid`, and without a change of their parents' times. Paths are resolved inside the root. What stands there already,
   * also as a link, stays; a root that takes nothing (read-only, full) is no error. On the thread pool.
   */
  makeMountPoints(
    root: string,
    folders: readonly string[],
    files: readonly string[],
    uid: number,
    gid: number,
  ): Promise<void>;
  /** A bound netlink socket of `protocol` (0 route, 12 netfilter) inside the namespace at `netnsPath` (null: ours). */
  netlinkOpen(protocol: number, netnsPath: string | null): number;
  /**
   * Sends `request` (one or more netlink messages, a batch counts as one) and collects answers until every message
   * that asked for one has its NLMSG_ERROR/ACK or its dump is DONE. Returns the concatenated answers as they came,
   * error messages included; it does not judge them. EXT_ACK and CAP_ACK are on. Links that the request makes in the
   * namespace at `withoutIpv6` are born with their `disable_ipv6` set.
   */
  netlinkRequest(fd: number, request: Uint8Array, withoutIpv6?: string): Promise<Buffer>;
  /** The same on the calling thread, for requests that the kernel answers at once (rtnetlink). */
  netlinkRequestSync(fd: number, request: Uint8Array): Buffer;
  /**
   * On the thread pool, inside the namespace at `netnsPath`: `writeSysctls`, and then a request over a socket of its own,
   * with the answers of `netlinkRequest`.
   */
  setUpNetns(
    protocol: number,
    netnsPath: string,
    paths: readonly string[],
    values: readonly string[],
    request: Uint8Array,
  ): Promise<Buffer>;
  /**
   * Writes `values` to the settings at `paths` (below /proc/sys/net) as the namespace at `netnsPath` (null: ours) has
   * them, in order, up to the first that fails; its path is in the error. What has its value already is not written.
   */
  writeSysctls(netnsPath: string | null, paths: readonly string[], values: readonly string[]): void;
  /** A packet socket of our namespace that only sends. */
  packetOpen(): number;
  /** Sends an Ethernet frame as it is out of an interface. */
  packetSend(fd: number, interfaceIndex: number, frame: Uint8Array): void;
  /** if_nametoindex in our namespace; 0 where there is none. */
  interfaceIndex(name: string): number;

  /** lgetxattr names and values of a path that is never followed; values are raw bytes. */
  listXattrs(path: string | Uint8Array): { name: string; value: Buffer }[];
  setXattr(path: string | Uint8Array, name: string, value: Uint8Array): void;
  /** mknod(2); `mode` holds the type (S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK) and the permissions, less the umask. */
  mknod(path: string | Uint8Array, mode: number, major: number, minor: number): void;
  /** utimensat(2) with AT_SYMLINK_NOFOLLOW: both times; `seconds` since the epoch may be negative. */
  setTimes(path: string | Uint8Array, seconds: number, nanoseconds: number): void;
  /**
   * Sets every modification time in the directory `path`, its own among them, that is later than `seconds` since the
   * epoch to that; links are not followed, what is mounted in it fails with EXDEV. Gives the number of entries below
   * it. On the thread pool.
   */
  clampTimes(path: string | Uint8Array, seconds: number): Promise<number>;
  /** FICLONE: `toFd` shares all of `fromFd`'s content from now on; false where the file systems cannot. */
  cloneFile(fromFd: number, toFd: number): boolean;
  /**
   * Copies at most `maxBytes` of the first stretch of data at or behind `position`, to the same place; holes are
   * passed over. Returns where to go on, -1 where no data follows (a hole at the end is the caller's: ftruncate). Blocks.
   */
  copyData(fromFd: number, toFd: number, position: number, maxBytes: number): number;
  /**
   * Where a file has data: [offset, end, …], ascending, at most `most` of them; the last one of a file that has more
   * reaches to its end. Holes are between them.
   */
  dataSegments(fd: number, most: number): number[];
  /** renameat2(2) with RENAME_EXCHANGE: each takes the other's name, at one stroke. */
  exchange(first: string, second: string): void;

  /** Project quotas of the file system that holds `fd`; `counted` ones limit nothing. */
  projectQuotas(fd: number): 'off' | 'counted' | 'enforced';
  /** The project that a file or directory belongs to: 0 for none, and where there are none. */
  projectOf(fd: number): number;
  /** Puts it into a project; what is made in a directory later belongs to it as well. */
  setProject(fd: number, project: number): void;
  /** Bytes on disk; a limit of 0 is none. */
  projectUsage(fd: number, project: number): { usedBytes: number; limitBytes: number };
  /** Rounded up to 1 KiB; 0 lifts the limit. Bytes on disk, with the file system's own blocks. */
  limitProject(fd: number, project: number, bytes: number): void;

  /** prctl(PR_SET_NAME) on the calling thread: what /proc/self/comm and ps show; cut to 15 bytes. */
  setProcessName(name: string): void;

  /** malloc_trim(3): what the allocator keeps for later goes back to the kernel. */
  trimMemory(): void;
}

/** Where addon.node and mydock-runtime lie: beside the bundle, or in dist/ when run from the sources. */
export function libraryDirectory(): string {
  const here = import.meta.dirname;
  return existsSync(join(here, 'addon.node')) ? here : join(here, '../../dist');
}

let loaded: Addon | undefined;

/** The addon, loaded at the first call. Throws where it was not built or is for another Node or machine. */
export function addon(): Addon {
  loaded ??= createRequire(join(libraryDirectory(), 'x.js'))('./addon.node') as Addon;
  return loaded;
}
