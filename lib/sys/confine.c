/*
 * confine.c - see confine.h.
 *
 * Debian 12's header knows the first two versions of Landlock, so what came
 * later is named here.  What a kernel does not know it must not be asked for.
 */
#include "sys/confine.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/arena.h"
#include "sys/fd.h"

#define ARENA_MAX_BYTES (1024 * 1024)
#define MAX_HIDDEN      32
#define MAX_SEEN        256
#define MAX_DEPTH       64 /* of folders that are shown entry by entry */

#define ACCESS_TRUNCATE  (1ULL << 14) /* from version 3 */
#define ACCESS_IOCTL_DEV (1ULL << 15) /* from version 5 */
#define SCOPE_SIGNAL     (1ULL << 1)  /* from version 6 */

#define ACCESS_VERSION_1 ((LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1)
#define ACCESS_READ      (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_OF_FOLDERS \
    (LANDLOCK_ACCESS_FS_READ_DIR | LANDLOCK_ACCESS_FS_MAKE_REG)

/* As the kernel has it since version 6; older ones take a shorter one. */
struct ruleset_attr {
    uint64_t handled_access_fs;
    uint64_t handled_access_net;
    uint64_t scoped;
};

/* What the rules rest on: this name led to this file when it was looked at. */
struct seen {
    const char *path;
    dev_t device;
    ino_t inode;  /* 0: there was none */
    bool is_list; /* its entries have rules, so that new ones matter */
    struct timespec changed;
};

struct confine {
    struct arena arena; /* owns every string below */
    int ruleset_fd;
    const char *hidden[MAX_HIDDEN];
    size_t hidden_count;
    struct seen seen[MAX_SEEN];
    size_t seen_count;
};

/* ---- the kernel's end -------------------------------------------------- */

int
confine_abi(void)
{
    const long version = syscall(SYS_landlock_create_ruleset, NULL, 0,
                                 LANDLOCK_CREATE_RULESET_VERSION);

    return version > 0 ? (int)version : 0;
}

static int
open_ruleset(void)
{
    const int version = confine_abi();
    struct ruleset_attr attr = { .handled_access_fs = ACCESS_VERSION_1 };
    size_t len = sizeof(attr.handled_access_fs);

    if (version >= 2)
        attr.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
    if (version >= 3)
        attr.handled_access_fs |= ACCESS_TRUNCATE;
    if (version >= 5)
        attr.handled_access_fs |= ACCESS_IOCTL_DEV;
    if (version >= 6) {
        attr.scoped = SCOPE_SIGNAL;
        len = sizeof(attr);
    }
    return (int)syscall(SYS_landlock_create_ruleset, &attr, len, 0);
}

/* A file system that nobody can mount (that of pipes) takes no rules and needs
 * none. */
static int
add_rule(const struct confine *confine, int fd, uint64_t access,
         struct err *err)
{
    struct landlock_path_beneath_attr rule = { .parent_fd = fd,
                                               .allowed_access = access };
    struct stat info;

    if (fstat(fd, &info) == -1)
        return err_set_errno(err, ERR_SYSTEM, "fstat");
    if (!S_ISDIR(info.st_mode))
        rule.allowed_access &= ~(uint64_t)ACCESS_OF_FOLDERS;
    if (syscall(SYS_landlock_add_rule, confine->ruleset_fd,
                LANDLOCK_RULE_PATH_BENEATH, &rule, 0) == 0 ||
        errno == EBADFD)
        return 0;
    return err_set_errno(err, ERR_SYSTEM, "landlock_add_rule");
}

/* What cannot be opened now cannot be later, and needs no rule; unless it is we
 * who lack something. */
static int
pass_over(const char *path, struct err *err)
{
    if (errno != EMFILE && errno != ENFILE && errno != ENOMEM)
        return 0;
    return err_set_errno(err, ERR_SYSTEM, "%s", path);
}

/* Path has no symbolic links any more. */
static int
allow(const struct confine *confine, const char *path, uint64_t access,
      struct err *err)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    int result;

    if (fd == -1)
        return pass_over(path, err);
    result = add_rule(confine, fd, access, err);
    if (result == -1)
        err_prefix(err, "%s", path);
    fd_close(&fd);
    return result;
}

/* ---- names ------------------------------------------------------------- */

/* Absolute and without symbolic links.  What does not exist keeps its names
 * behind the folder that does. */
static int
resolve(const char *path, char resolved[PATH_MAX])
{
    char folder[PATH_MAX], head[PATH_MAX];
    bool is_found = false;
    const char *rest = path + strlen(path);
    int len;

    if (realpath(path, resolved) != NULL)
        return 0;
    if (strlen(path) >= sizeof(head))
        return -1;
    do {
        while (rest > path && rest[-1] == '/')
            rest--;
        while (rest > path && rest[-1] != '/')
            rest--;
        snprintf(head, sizeof(head), "%.*s", (int)(rest - path), path);
        is_found = realpath(rest > path ? head : ".", folder) != NULL;
    } while (!is_found && rest > path);
    if (!is_found)
        return -1;
    len = snprintf(resolved, PATH_MAX, "%s/%s",
                   strcmp(folder, "/") == 0 ? "" : folder, rest);
    return rest[0] != '\0' && len > 0 && len < PATH_MAX ? 0 : -1;
}

static bool
is_below(const char *path, const char *folder)
{
    const size_t len = strcmp(folder, "/") == 0 ? 0 : strlen(folder);

    return strncmp(path, folder, len) == 0 && path[len] == '/' &&
           path[len + 1] != '\0';
}

static bool
is_hidden(const struct confine *confine, const char *path)
{
    for (size_t i = 0; i < confine->hidden_count; i++)
        if (strcmp(confine->hidden[i], path) == 0)
            return true;
    return false;
}

static bool
holds_hidden(const struct confine *confine, const char *path)
{
    for (size_t i = 0; i < confine->hidden_count; i++)
        if (is_below(confine->hidden[i], path))
            return true;
    return false;
}

/* ---- what the rules rest on -------------------------------------------- */

static struct seen
look(const char *path, bool is_list)
{
    struct seen seen = { .path = path, .is_list = is_list };
    struct stat info;

    if (stat(path, &info) == 0) {
        seen.device = info.st_dev;
        seen.inode = info.st_ino;
        if (is_list)
            seen.changed = info.st_mtim;
    }
    return seen;
}

static int
remember(struct confine *confine, const char *path, bool is_list,
         struct err *err)
{
    const char *copy = arena_strdup(&confine->arena, path);

    if (copy == NULL)
        return err_set(err, ERR_NOMEM, "%s", path);
    if (confine->seen_count == MAX_SEEN)
        return err_set(err, ERR_LIMIT, "%s: more than %d of these", path,
                       MAX_SEEN);
    confine->seen[confine->seen_count++] = look(copy, is_list);
    return 0;
}

bool
confine_is_outdated(const struct confine *confine)
{
    for (size_t i = 0; i < confine->seen_count; i++) {
        const struct seen *then = &confine->seen[i];
        const struct seen now = look(then->path, then->is_list);

        if (now.device != then->device || now.inode != then->inode ||
            now.changed.tv_sec != then->changed.tv_sec ||
            now.changed.tv_nsec != then->changed.tv_nsec)
            return true;
    }
    return false;
}

/* ---- what is shown ----------------------------------------------------- */

static int show_resolved(struct confine *confine, const char *path, int depth,
                         struct err *err);

static int
show_entry(struct confine *confine, const char *folder,
           const struct dirent *entry, int depth, struct err *err)
{
    char path[PATH_MAX];
    struct stat info;
    const int len =
        snprintf(path, sizeof(path), "%s/%s",
                 strcmp(folder, "/") == 0 ? "" : folder, entry->d_name);

    if (len < 0 || (size_t)len >= sizeof(path) ||
        strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
        lstat(path, &info) == -1 || S_ISLNK(info.st_mode))
        return 0;
    return show_resolved(confine, path, depth, err);
}

static int
show_entries(struct confine *confine, const char *path, int depth,
             struct err *err)
{
    DIR *folder;
    const struct dirent *entry;
    int result = 0;

    if (depth == MAX_DEPTH)
        return err_set(err, ERR_LIMIT, "%s: too deep", path);
    if (remember(confine, path, true, err) == -1)
        return -1;
    folder = opendir(path);
    if (folder == NULL)
        return pass_over(path, err);
    while (result == 0 && (entry = readdir(folder)) != NULL)
        result = show_entry(confine, path, entry, depth + 1, err);
    closedir(folder);
    return result;
}

static int
show_resolved(struct confine *confine, const char *path, int depth,
              struct err *err)
{
    if (is_hidden(confine, path))
        return 0;
    if (holds_hidden(confine, path))
        return show_entries(confine, path, depth, err);
    return allow(confine, path, ACCESS_READ, err);
}

/* ---- the interface ----------------------------------------------------- */

struct confine *
confine_new(struct err *err)
{
    struct confine *confine = calloc(1, sizeof(*confine));

    if (confine == NULL) {
        err_set(err, ERR_NOMEM, "confinement");
        return NULL;
    }
    arena_init(&confine->arena, ARENA_MAX_BYTES);
    confine->ruleset_fd = open_ruleset(); /* close-on-exec by itself */
    if (confine->ruleset_fd != -1)
        return confine;
    err_set_errno(err, ERR_SYSTEM, "landlock_create_ruleset");
    confine_free(confine);
    return NULL;
}

void
confine_free(struct confine *confine)
{
    if (confine == NULL)
        return;
    fd_close(&confine->ruleset_fd);
    arena_close(&confine->arena);
    free(confine);
}

int
confine_hide(struct confine *confine, const char *path, struct err *err)
{
    char resolved[PATH_MAX];
    const char *copy;

    if (resolve(path, resolved) == -1)
        return err_set(err, ERR_INVALID, "%s: no usable name", path);
    if (is_hidden(confine, resolved))
        return 0;
    if (confine->hidden_count == MAX_HIDDEN)
        return err_set(err, ERR_LIMIT, "more than %d hidden paths", MAX_HIDDEN);
    copy = arena_strdup(&confine->arena, resolved);
    if (copy == NULL)
        return err_set(err, ERR_NOMEM, "%s", path);
    confine->hidden[confine->hidden_count++] = copy;
    return 0;
}

int
confine_show(struct confine *confine, const char *path, struct err *err)
{
    char resolved[PATH_MAX];

    if (remember(confine, path, false, err) == -1)
        return -1;
    if (realpath(path, resolved) == NULL)
        return 0;
    return show_resolved(confine, resolved, 0, err);
}

int
confine_let_write(struct confine *confine, const char *path, struct err *err)
{
    const uint64_t access =
        LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_MAKE_REG;
    char resolved[PATH_MAX], folder[PATH_MAX];
    struct stat info;

    if (realpath(path, resolved) == NULL || stat(resolved, &info) == -1)
        return remember(confine, path, false, err);
    memcpy(folder, resolved, sizeof(folder));
    dirname(folder);
    /* Not the file: that it is made anew is what the folder's rule is for. */
    if (S_ISREG(info.st_mode) && !is_hidden(confine, folder) &&
        !holds_hidden(confine, folder))
        return remember(confine, folder, false, err) == -1
                   ? -1
                   : allow(confine, folder, access, err);
    if (is_hidden(confine, resolved))
        return 0;
    if (remember(confine, path, false, err) == -1)
        return -1;
    return allow(confine, resolved, access, err);
}

int
confine_enter(const struct confine *confine, struct err *err)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == -1)
        return err_set_errno(err, ERR_SYSTEM, "PR_SET_NO_NEW_PRIVS");
    if (syscall(SYS_landlock_restrict_self, confine->ruleset_fd, 0) != 0)
        return err_set_errno(err, ERR_SYSTEM, "landlock_restrict_self");
    return 0;
}

void
confine_seal(struct confine *confine)
{
    fd_close(&confine->ruleset_fd);
}
