/* file.c - see file.h. */
#include "sys/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "sys/fd.h"

#define CHUNK_BYTES   4096
#define LOCK_RETRY_MS 20
#define SUFFIX        ".XXXXXX" /* mkostemp(3) puts letters and digits */

/* What a file is to hold. */
struct whole {
    const void *bytes;
    size_t len;
    bool replace; /* a file that is there */
};

static int
read_all(int fd, struct buf *buf, struct err *err)
{
    char chunk[CHUNK_BYTES];

    for (;;) {
        const ssize_t len = read(fd, chunk, sizeof(chunk));

        if (len == 0)
            return 0;
        if (len > 0) {
            if (buf_error(buf, buf_append(buf, chunk, (size_t)len),
                          "its content", err) == -1)
                return -1;
        } else if (errno != EINTR) {
            return err_set_errno(err, ERR_SYSTEM, "read");
        }
    }
}

int
file_read(const char *path, struct buf *buf, struct err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int result;

    if (fd == -1)
        return err_set_errno(
            err, errno == EMFILE || errno == ENFILE ? ERR_NOMEM : ERR_SYSTEM,
            "cannot open %s", path);
    result = read_all(fd, buf, err);
    if (result == -1)
        err_prefix(err, "%s", path);
    fd_close(&fd);
    return result;
}

/* The folder that holds path, for a path that may be as short as "name". */
static int
sync_folder_of(const char *path, struct err *err)
{
    char copy[PATH_MAX];
    const char *folder;
    int result;
    int fd;

    snprintf(copy, sizeof(copy), "%s", path);
    folder = dirname(copy);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot open folder %s", folder);
    result = fsync(fd);
    if (result == -1)
        err_set_errno(err, ERR_SYSTEM, "cannot sync folder %s", folder);
    fd_close(&fd);
    return result;
}

/* A name in the same folder, so that rename(2) is atomic, and with a dot in
 * front, so that what a crash leaves behind is not taken for a whole file. */
static int
make_temporary_path(const char *path, char temporary[PATH_MAX], struct err *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    const int len = snprintf(temporary, PATH_MAX, "%.*s.%s" SUFFIX,
                             (int)(name - path), path, name);

    if (len < 0 || len >= PATH_MAX || name[0] == '\0')
        return err_set(err, ERR_INVALID, "not a usable file name");
    return 0;
}

bool
file_is_leftover(const char *name, char original[FILE_NAME_LEN])
{
    const size_t suffix_len = strlen(SUFFIX);
    const size_t len = strlen(name);
    const char *suffix;

    if (name[0] != '.' || len < suffix_len + 2 || len >= FILE_NAME_LEN)
        return false;
    suffix = name + len - suffix_len;
    if (*suffix != '.')
        return false;
    for (const char *at = suffix + 1; *at != '\0'; at++)
        if (isalnum((unsigned char)*at) == 0)
            return false;
    snprintf(original, FILE_NAME_LEN, "%.*s", (int)(suffix - name - 1),
             name + 1);
    return true;
}

static int
fill_and_sync(int fd, mode_t mode, const void *bytes, size_t len,
              struct err *err)
{
    if (fchmod(fd, mode) == -1)
        return err_set_errno(err, ERR_SYSTEM, "chmod");
    if (fd_write_all(fd, bytes, len, INT64_MAX, err) == -1)
        return -1;
    if (fsync(fd) == -1)
        return err_set_errno(err, ERR_SYSTEM, "fsync");
    return 0;
}

static int
write_temporary(char temporary[PATH_MAX], mode_t mode, const void *bytes,
                size_t len, struct err *err)
{
    const int fd = mkostemp(temporary, O_CLOEXEC);
    int result;

    if (fd == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot create %s", temporary);
    result = fill_and_sync(fd, mode, bytes, len, err);
    if (close(fd) == -1 && result == 0)
        result = err_set_errno(err, ERR_SYSTEM, "close");
    if (result == -1)
        unlink(temporary);
    return result;
}

/* Puts what is in the temporary file at path.  A link(2) fails where rename(2)
 * would replace. */
static int
put_in_place(const char *temporary, const char *path, bool replace,
             struct err *err)
{
    int result = 0;

    if (replace) {
        if (rename(temporary, path) == 0)
            return 0;
        result = err_set_errno(err, ERR_SYSTEM, "rename");
    } else if (link(temporary, path) == -1) {
        result = errno == EEXIST
                     ? err_set(err, ERR_INVALID, "there is a file already")
                     : err_set_errno(err, ERR_SYSTEM, "link");
    }
    unlink(temporary);
    return result;
}

static int
write_whole(const char *path, mode_t mode, const struct whole *whole,
            struct err *err)
{
    char temporary[PATH_MAX];

    if (make_temporary_path(path, temporary, err) == 0 &&
        write_temporary(temporary, mode, whole->bytes, whole->len, err) == 0 &&
        put_in_place(temporary, path, whole->replace, err) == 0 &&
        sync_folder_of(path, err) == 0)
        return 0;
    err_prefix(err, "%s", path);
    return -1;
}

int
file_write_durably(const char *path, mode_t mode, const void *bytes, size_t len,
                   struct err *err)
{
    return write_whole(path, mode, &(struct whole){ bytes, len, true }, err);
}

int
file_create_durably(const char *path, mode_t mode, const void *bytes,
                    size_t len, struct err *err)
{
    return write_whole(path, mode, &(struct whole){ bytes, len, false }, err);
}

/* rename(2) would replace what is there.  A link needs more rights than a
 * rename and leaves two names when it is cut short, so it is only for file
 * systems that cannot do better. */
static int
rename_to_free(const char *from, const char *to)
{
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
        return 0;
    if (errno != EINVAL && errno != ENOSYS)
        return -1;
    return link(from, to) == 0 ? unlink(from) : -1;
}

int
file_move(const char *from, const char *to, struct err *err)
{
    if (rename_to_free(from, to) == 0)
        return 0;
    if (errno == EEXIST)
        return err_set(err, ERR_INVALID, "%s is there already", to);
    return err_set_errno(err, ERR_SYSTEM, "cannot move %s to %s", from, to);
}

static int
append_and_sync(int fd, const void *bytes, size_t len, struct err *err)
{
    struct stat before;

    if (fstat(fd, &before) == -1)
        return err_set_errno(err, ERR_SYSTEM, "stat");
    if (fd_write_all(fd, bytes, len, INT64_MAX, err) == 0) {
        if (fsync(fd) == 0)
            return 0;
        err_set_errno(err, ERR_SYSTEM, "fsync");
    }
    /* Half of it would run into what is added next. */
    if (ftruncate(fd, before.st_size) == -1)
        err_prefix(err, "cannot take back a part of it");
    return -1;
}

int
file_append_durably(const char *path, mode_t mode, const void *bytes,
                    size_t len, struct err *err)
{
    const bool is_new = access(path, F_OK) == -1;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, mode);
    int result;

    if (fd == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot open %s", path);
    result = append_and_sync(fd, bytes, len, err);
    if (close(fd) == -1 && result == 0)
        result = err_set_errno(err, ERR_SYSTEM, "close");
    if (result == 0 && is_new)
        result = sync_folder_of(path, err);
    if (result == -1)
        err_prefix(err, "%s", path);
    return result;
}

/* 0, or -1 with err set. */
static int
wait_for_lock(int fd, const char *path, int64_t deadline_mono_ms,
              struct err *err)
{
    static const struct timespec pause = { .tv_nsec = LOCK_RETRY_MS * 1000000 };

    for (;;) {
        struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

        if (fcntl(fd, F_OFD_SETLK, &whole) == 0)
            return 0;
        if (errno != EAGAIN && errno != EACCES && errno != EINTR)
            return err_set_errno(err, ERR_SYSTEM, "cannot lock %s", path);
        if (clock_left_ms(deadline_mono_ms) == 0)
            return err_set(err, ERR_LIMIT, "another process holds %s", path);
        nanosleep(&pause, NULL);
    }
}

int
file_lock(const char *path, int64_t deadline_mono_ms, struct err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot open %s", path);
    if (wait_for_lock(fd, path, deadline_mono_ms, err) == -1)
        fd_close(&fd);
    return fd;
}

/* Whoever is in our way, or 0 when that is over. */
static pid_t
lock_holder(int fd)
{
    struct flock other = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    if (fcntl(fd, F_GETLK, &other) == -1 || other.l_type == F_UNLCK)
        return 0;
    return other.l_pid;
}

int
file_claim(const char *path, pid_t *holder, struct err *err)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    *holder = 0;
    if (fd == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot open %s", path);
    if (fcntl(fd, F_SETLK, &whole) == 0)
        return fd;
    err_set_errno(err, ERR_SYSTEM, "cannot lock %s", path);
    *holder = lock_holder(fd);
    fd_close(&fd);
    return -1;
}

static int
make_one_folder(const char *path, mode_t mode, struct err *err)
{
    struct stat info;

    if (mkdir(path, mode) == 0)
        return sync_folder_of(path, err);
    if (errno != EEXIST)
        return err_set_errno(err, ERR_SYSTEM, "cannot make folder %s", path);
    if (stat(path, &info) == -1)
        return err_set_errno(err, ERR_SYSTEM, "%s", path);
    if (!S_ISDIR(info.st_mode))
        return err_set(err, ERR_INVALID, "%s is not a folder", path);
    return 0;
}

int
file_make_folder(const char *path, mode_t mode, struct err *err)
{
    char partial[PATH_MAX];
    const size_t len = strlen(path);

    if (len == 0 || len >= sizeof(partial))
        return err_set(err, ERR_INVALID, "not a usable folder name");
    memcpy(partial, path, len + 1);
    for (size_t i = 1; i < len; i++) {
        if (partial[i] != '/')
            continue;
        partial[i] = '\0';
        if (make_one_folder(partial, mode, err) == -1)
            return -1;
        partial[i] = '/';
    }
    return make_one_folder(partial, mode, err);
}
