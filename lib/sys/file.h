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

/* Appends the file to buf; ERR_LIMIT when it does not fit. */
int file_read(const char *path, struct buf *buf, struct err *err)
    ATTR_MUST_CHECK;

/* Temporary file, fsync, rename, fsync of the folder; each step checked. */
int file_write_durably(const char *path, mode_t mode, const void *bytes,
                       size_t len, struct err *err) ATTR_MUST_CHECK;

/* mkdir -p; an existing folder is fine. */
int file_make_folder(const char *path, mode_t mode, struct err *err)
    ATTR_MUST_CHECK;

#endif
