/*
 * Protection of this program's own file on the host. A container can make a process of this runtime
 * execute /proc/self/exe (an interpreter line, a symlink in place of a program), which is this very
 * file, and then write to it through /proc/PID/exe: on the next start the host's root would run
 * what the container wrote (CVE-2019-5736). No check of names stops that, because the kernel
 * resolves them in exec itself; the file must not be writable by the way that leads to it.
 * /proc/PID/exe carries the mount that the program was executed from: if that is read-only, and
 * attached nowhere where anybody could change it, every open for writing is refused (EROFS).
 */
#ifndef MYDOCK_SELF_EXE_H
#define MYDOCK_SELF_EXE_H

#include "../../common/error.h"

/* To be called first of all by a program that will launch containers. Where it runs from a
 * read-only mount or a sealed memory file it returns 0; else it executes itself again from one,
 * with the same arguments and descriptors (about half a millisecond; whoever starts it from a
 * read-only bind mount saves that). */
int self_exe_protect(char **arguments, struct error **err);

#endif
