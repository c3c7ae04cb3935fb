/*
 * Compresses rotated logs in a process of its own, so that neither the container nor its output
 * waits. PATH.n becomes PATH.n.gz, whose gzip header names the inode that it was made of: a reader
 * that has the old file open finds its place again.
 */
#ifndef MYDOCK_LOG_COMPRESS_H
#define MYDOCK_LOG_COMPRESS_H

#include <sys/types.h>

/* Starts to compress PATH.1 to PATH.(files - 1), those that are not yet, and returns the process,
 * or -1 where there can be none. A result is written to PATH.gz.tmp first; PATH.n goes when
 * PATH.n.gz stands. */
pid_t log_compress_start(const char *path, unsigned files);
/* Ends a process that compresses, however far it is, and removes what it left half done. What is
 * not compressed stays as it was. */
void log_compress_stop(pid_t pid, const char *path);

#endif
