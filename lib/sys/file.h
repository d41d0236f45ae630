/*
 * file - whole small files, folders, and writes that survive a power cut.
 */
#ifndef SYS_FILE_H
#define SYS_FILE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"

/* Appends the file to buf; ERR_LIMIT when it does not fit.  After an error buf
 * may hold a part of it. */
int file_read(const char *path, struct buf *buf,
              struct err *err) ATTR_MUST_CHECK;

/* Temporary file, fsync, rename, fsync of the folder; each step checked.  The
 * mode is as given, whatever the umask.  A crash may leave the temporary file
 * behind, in the same folder and with a name that begins with a dot. */
int file_write_durably(const char *path, mode_t mode, const void *bytes,
                       size_t len, struct err *err) ATTR_MUST_CHECK;

/* mkdir -p, made durable; an existing folder is fine and left as it is. */
int file_make_folder(const char *path, mode_t mode,
                     struct err *err) ATTR_MUST_CHECK;

#endif
