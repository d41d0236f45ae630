/*
 * file - whole small files, folders, locks, and writes that survive a power cut.
 */
#ifndef SYS_FILE_H
#define SYS_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

#define FILE_NAME_LEN 256 /* of a name in a folder, with a NUL */

/* Appends the file to buf.  ERR_LIMIT when it does not fit, ERR_NOMEM also when
 * there are no descriptors left, ERR_SYSTEM when it is the file's fault.  After
 * an error buf may hold a part of it. */
int file_read(const char *path, struct buf *buf,
              struct err *err) ATTR_MUST_CHECK;

/* Temporary file, fsync, rename, fsync of the folder; each step checked.  The
 * mode is as given, whatever the umask.  A crash may leave the temporary file
 * behind, in the same folder and with a name that begins with a dot. */
int file_write_durably(const char *path, mode_t mode, const void *bytes,
                       size_t len, struct err *err) ATTR_MUST_CHECK;

/* The same for a file that must not exist yet: ERR_INVALID when it does. */
int file_create_durably(const char *path, mode_t mode, const void *bytes,
                        size_t len, struct err *err) ATTR_MUST_CHECK;

/* Is a file of this name what a crash in either left?  Then original is the
 * name of the file that was being written. */
bool file_is_leftover(const char *name, char original[FILE_NAME_LEN]);

/* Adds to the end of a file, made with this mode (and the umask) when there is
 * none, and syncs it.  Nothing of it stays when it fails.  For files with one
 * writer. */
int file_append_durably(const char *path, mode_t mode, const void *bytes,
                        size_t len, struct err *err) ATTR_MUST_CHECK;

/* Takes the lock that goes with a file or folder: path is a file of its own,
 * made when there is none.  Returns a descriptor, which holds the lock until it
 * is closed.  -1 on ERR_LIMIT when another process has it until the deadline,
 * ERR_SYSTEM. */
int file_lock(const char *path, int64_t deadline_mono_ms,
              struct err *err) ATTR_MUST_CHECK;

/* The same for a process instead of whoever holds the descriptor: children do
 * not inherit the lock, and it ends when anybody here closes a descriptor of
 * that file.  -1 without waiting; *holder is the pid of who has it, else 0. */
int file_claim(const char *path, pid_t *holder,
               struct err *err) ATTR_MUST_CHECK;

/* A file or folder, within a file system.  ERR_INVALID when there is one at to:
 * it stays. */
int file_move(const char *from, const char *to,
              struct err *err) ATTR_MUST_CHECK;

/* mkdir -p, made durable; an existing folder is fine and left as it is. */
int file_make_folder(const char *path, mode_t mode,
                     struct err *err) ATTR_MUST_CHECK;

#endif
