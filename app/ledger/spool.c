/* spool.c - see spool.h. */
#include "ledger/spool_inner.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/str.h"
#include "sys/fd.h"
#include "sys/file.h"
#include "sys/log.h"

#define AWAY_BYTES 32 /* a number and a line's end */
#define MAX_NUMBER INT64_MAX

/* ---- names ------------------------------------------------------------- */

void
spool_path_of(const struct spool *spool, const char *subfolder, uint64_t number,
              char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s/%016" PRIx64 ".jsonl", spool->folder,
             subfolder, number);
}

static int
number_of(const char *name, uint64_t *number)
{
    char again[SPOOL_NAME_LEN];
    char *end;

    *number = strtoull(name, &end, 16);
    snprintf(again, sizeof(again), "%016" PRIx64 ".jsonl", *number);
    return *number <= MAX_NUMBER && strcmp(name, again) == 0 ? 0 : -1;
}

static int
is_batch(const struct dirent *entry)
{
    uint64_t number;

    return number_of(entry->d_name, &number) == 0;
}

/* A number is never given twice while a file has it, wherever that lies: one
 * would take the other's place when it is moved. */
static void
note_number(struct spool *spool, uint64_t number)
{
    if (number >= spool->next_number)
        spool->next_number = number + 1;
}

/* ---- the index -------------------------------------------------------- */

static bool
is_about_a_run(const struct seal *entry)
{
    return !uuid_is_nil(&entry->run_id);
}

static int
index_entries(struct spool *spool, uint64_t number,
              const struct seal *const *entries, size_t count, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct spool_item item = { .run_id = entries[i]->run_id,
                                   .kind = entries[i]->kind,
                                   .file = number,
                                   .receipt = seal_receipt(entries[i]) };

        item.receipt.state = ENTRY_SPOOLED;
        if (is_about_a_run(entries[i]) &&
            spool_index_add(spool->index, &item, err) == -1)
            return -1;
    }
    return 0;
}

static void
forget_entries(struct spool *spool, uint64_t number,
               const struct seal *const *entries, size_t count)
{
    for (size_t i = 0; i < count; i++)
        spool_index_remove(spool->index, &entries[i]->run_id, entries[i]->kind,
                           number);
}

/* ---- what is there already --------------------------------------------- */

/* To its own number in bad, or to a free one: whoever copied a batch back to
 * new has left a file of that name there, and neither is deleted. */
static int
move_to_bad(struct spool *spool, uint64_t number, struct err *err)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct err why = { 0 };

    spool_path_of(spool, SPOOL_NEW, number, from);
    spool_path_of(spool, SPOOL_BAD, number, to);
    if (file_move(from, to, &why) == 0)
        return 0;
    if (why.kind != ERR_INVALID)
        return err_set(err, why.kind, "%s", why.text);
    number = spool->next_number;
    note_number(spool, number);
    spool_path_of(spool, SPOOL_BAD, number, to);
    return file_move(from, to, err);
}

/* One that cannot be moved stays where it is, and is left out until somebody
 * asks for an attempt: the others need not suffer for it. */
static void
move_aside(struct spool *spool, uint64_t number)
{
    struct err err = { 0 };

    if (move_to_bad(spool, number, &err) == 0) {
        spool->set_aside++;
        return;
    }
    log_error("ledger_spool_failed", "reason=%s", err.text);
    spool->left_out++;
}

/* What a scribe that was killed left of a batch whose entries it never said
 * were durable.  A stranger's, who may be copying a batch here, is not ours. */
static bool
is_leftover(int folder_fd, const char *name)
{
    char batch[FILE_NAME_LEN];
    struct stat file;
    uint64_t number;

    return file_is_leftover(name, batch) && number_of(batch, &number) == 0 &&
           fstatat(folder_fd, name, &file, AT_SYMLINK_NOFOLLOW) == 0 &&
           S_ISREG(file.st_mode) && file.st_uid == geteuid();
}

/* Whoever writes batches holds the lock, and that is us. */
static int
sweep_new(const struct spool *spool, struct err *err)
{
    char path[PATH_MAX];
    struct dirent *entry;
    DIR *folder;

    snprintf(path, sizeof(path), "%s/%s", spool->folder, SPOOL_NEW);
    folder = opendir(path);
    if (folder == NULL)
        return err_set_errno(err, ERR_SYSTEM, "cannot read %s", path);
    while ((entry = readdir(folder)) != NULL)
        if (is_leftover(dirfd(folder), entry->d_name) &&
            unlinkat(dirfd(folder), entry->d_name, 0) == 0)
            log_info("ledger_spool_swept", "file=%s/%s", path, entry->d_name);
    closedir(folder);
    return 0;
}

static int
tell_found(const struct spool *spool, const struct spool_file *file,
           struct err *err)
{
    const struct spool_config *config = &spool->config;

    for (size_t i = 0; config->found != NULL && i < file->count; i++)
        if (config->found(config->found_arg, file->entries[i], err) == -1)
            return -1;
    return 0;
}

/* One file of new.  A file that is not a batch, or that cannot be read, does
 * not stop the others. */
static int
load_batch(struct spool *spool, uint64_t number, struct err *err)
{
    struct err why = { 0 };
    struct spool_file *file;
    char path[PATH_MAX];
    int result;

    note_number(spool, number);
    spool_path_of(spool, SPOOL_NEW, number, path);
    file = spool_file_read(path, &why);
    if (file == NULL && why.kind == ERR_NOMEM)
        return err_set(err, why.kind, "%s: %s", path, why.text);
    if (file == NULL) {
        log_error("ledger_spool_damaged", "file=%s reason=%s", path, why.text);
        move_aside(spool, number);
        return 0;
    }
    result = spool_list_reserve(&spool->list, err);
    if (result == 0)
        result = index_entries(spool, number, file->entries, file->count, err);
    if (result == 0) {
        spool_list_add(&spool->list, number, file->bytes);
        result = tell_found(spool, file, err);
    }
    spool_file_free(file);
    return result;
}

/* The batches of a folder.  Their numbers are noted in spool, unless it is
 * NULL. */
static int
count_files(const char *folder, size_t *count, struct spool *spool,
            struct err *err)
{
    struct dirent **names;
    const int found = scandir(folder, &names, is_batch, NULL);

    if (found == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot read %s", folder);
    for (int i = 0; i < found; i++) {
        uint64_t number;

        if (spool != NULL && number_of(names[i]->d_name, &number) == 0)
            note_number(spool, number);
        free(names[i]);
    }
    free(names);
    *count = (size_t)found;
    return 0;
}

static int
load_new(struct spool *spool, struct err *err)
{
    char folder[PATH_MAX];
    struct dirent **names;
    int result = 0;
    int found;

    snprintf(folder, sizeof(folder), "%s/%s", spool->folder, SPOOL_NEW);
    found = scandir(folder, &names, is_batch, alphasort);
    if (found == -1)
        return err_set_errno(err, ERR_SYSTEM, "cannot read %s", folder);
    spool->left_out = 0;
    for (int i = 0; i < found; i++) {
        uint64_t number = 0;

        if (result == 0 && number_of(names[i]->d_name, &number) == 0 &&
            !spool_list_has(&spool->list, number))
            result = load_batch(spool, number, err);
        free(names[i]);
    }
    free(names);
    return result;
}

int
spool_look(const char *folder, struct spool_counts *counts, struct err *err)
{
    char path[PATH_MAX];

    *counts = (struct spool_counts){ .bytes = 0 };
    snprintf(path, sizeof(path), "%s/%s", folder, SPOOL_NEW);
    if (count_files(path, &counts->batches, NULL, err) == -1)
        return -1;
    snprintf(path, sizeof(path), "%s/%s", folder, SPOOL_BAD);
    return count_files(path, &counts->set_aside, NULL, err);
}

static int
load_bad(struct spool *spool, struct err *err)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", spool->folder, SPOOL_BAD);
    return count_files(path, &spool->set_aside, spool, err);
}

/* ---- opening ----------------------------------------------------------- */

static int
make_folders(struct spool *spool, struct err *err)
{
    static const char *const names[] = { SPOOL_NEW, SPOOL_BAD };

    for (size_t i = 0; i < 2; i++) {
        char path[PATH_MAX];

        snprintf(path, sizeof(path), "%s/%s", spool->folder, names[i]);
        if (file_make_folder(path, 0700, err) == -1)
            return -1;
    }
    return 0;
}

static int
lock(struct spool *spool, int64_t deadline_mono_ms, struct err *err)
{
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/lock", spool->folder);
    spool->lock_fd = file_lock(path, deadline_mono_ms, err);
    if (spool->lock_fd == -1)
        err_prefix(err, "another scribe may use the spool");
    return spool->lock_fd == -1 ? -1 : 0;
}

struct spool *
spool_open(const struct spool_config *config, int64_t deadline_mono_ms,
           struct err *err)
{
    struct spool *spool = calloc(1, sizeof(*spool));

    if (spool == NULL) {
        err_set(err, ERR_NOMEM, "spool");
        return NULL;
    }
    spool->config = *config;
    spool->lock_fd = -1;
    if (strlen(config->folder) >= sizeof(spool->folder)) {
        err_set(err, ERR_LIMIT, "the spool's path is too long");
        goto fail;
    }
    strcpy(spool->folder, config->folder);
    spool->index = spool_index_new(err);
    if (spool->index == NULL || make_folders(spool, err) == -1 ||
        lock(spool, deadline_mono_ms, err) == -1 ||
        sweep_new(spool, err) == -1 || load_bad(spool, err) == -1 ||
        load_new(spool, err) == -1)
        goto fail;
    return spool;

fail:
    spool_close(spool);
    return NULL;
}

void
spool_close(struct spool *spool)
{
    if (spool == NULL)
        return;
    spool_index_free(spool->index);
    spool_list_close(&spool->list);
    fd_close(&spool->lock_fd); /* last: now another may write */
    free(spool);
}

/* ---- adding ------------------------------------------------------------ */

bool
spool_is_empty(const struct spool *spool)
{
    return spool_list_count(&spool->list) == 0;
}

struct spool_counts
spool_counts(const struct spool *spool)
{
    return (struct spool_counts){ .batches = spool_list_count(&spool->list),
                                  .bytes = spool->list.bytes,
                                  .set_aside =
                                      spool->set_aside + spool->left_out };
}

static int64_t
disk_left(const struct spool *spool)
{
    struct statvfs disk;

    if (statvfs(spool->folder, &disk) == -1)
        return INT64_MAX; /* writing will tell */
    return (int64_t)(disk.f_bavail * disk.f_frsize);
}

bool
spool_has_room(const struct spool *spool)
{
    const struct spool_config *config = &spool->config;

    return (int64_t)spool->list.bytes + config->reserve_bytes <
               config->max_bytes &&
           spool_list_count(&spool->list) < SPOOL_MAX_BATCHES &&
           disk_left(spool) > config->reserve_bytes;
}

int
spool_add(struct spool *spool, const struct seal *const *entries, size_t count,
          struct err *err)
{
    const uint64_t number = spool->next_number;
    char path[PATH_MAX];
    size_t bytes;

    if ((int64_t)spool->list.bytes >= spool->config.max_bytes)
        return err_set(err, ERR_LIMIT, "the spool holds %zu bytes, its maximum",
                       spool->list.bytes);
    spool_path_of(spool, SPOOL_NEW, number, path);
    if (spool_list_reserve(&spool->list, err) == -1 ||
        index_entries(spool, number, entries, count, err) == -1)
        goto fail;
    /* A write that fails half-way leaves the number free for the next one. */
    if (spool_file_write(path, entries, count, &bytes, err) == -1)
        goto fail;
    spool_list_add(&spool->list, number, bytes);
    note_number(spool, number);
    return 0;

fail:
    forget_entries(spool, number, entries, count);
    return -1;
}

/* ---- draining ---------------------------------------------------------- */

struct spool_file *
spool_first(const struct spool *spool, struct err *err)
{
    char path[PATH_MAX];

    assert(!spool_is_empty(spool));
    spool_path_of(spool, SPOOL_NEW, spool_list_first(&spool->list), path);
    return spool_file_read(path, err);
}

void
spool_drop(struct spool *spool, const struct spool_file *file)
{
    const uint64_t number = spool_list_first(&spool->list);
    char path[PATH_MAX];

    forget_entries(spool, number, file->entries, file->count);
    spool_path_of(spool, SPOOL_NEW, number, path);
    spool_list_take(&spool->list);
    /* A file that stays, or comes back with a power cut, is committed again,
     * which changes nothing. */
    if (unlink(path) == -1)
        log_warn("ledger_spool_not_removed", "file=%s reason=%s", path,
                 strerror(errno));
}

void
spool_set_aside(struct spool *spool, const struct spool_file *file)
{
    const uint64_t number = spool_list_first(&spool->list);

    move_aside(spool, number);
    if (file != NULL)
        forget_entries(spool, number, file->entries, file->count);
    spool_list_take(&spool->list);
}

bool
spool_look_again(struct spool *spool)
{
    struct err err = { 0 };
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", spool->folder, SPOOL_DRAIN);
    if (unlink(path) == -1)
        return false;
    if (load_new(spool, &err) == -1 || load_bad(spool, &err) == -1)
        log_error("ledger_spool_failed", "reason=%s", err.text);
    return true;
}

void
spool_mark_away(struct spool *spool, int64_t since_mono_ms)
{
    char path[PATH_MAX];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", spool->folder, SPOOL_AWAY);
    if (since_mono_ms == 0) {
        unlink(path);
        return;
    }
    /* Without it the next scribe asks more than it has to, and no more. */
    file = fopen(path, "we");
    if (file == NULL)
        return;
    fprintf(file, "%" PRId64 "\n", since_mono_ms);
    fclose(file);
}

int64_t
spool_away_since(const struct spool *spool)
{
    int64_t since_mono_ms = 0;
    char path[PATH_MAX];
    struct buf text;

    snprintf(path, sizeof(path), "%s/%s", spool->folder, SPOOL_AWAY);
    buf_init(&text, AWAY_BYTES);
    if (file_read(path, &text, NULL) == 0 && text.len > 0) {
        text.bytes[text.len - 1] = '\0'; /* the line's end */
        if (str_to_int(text.bytes, 1, INT64_MAX, &since_mono_ms) == -1)
            since_mono_ms = 0;
    }
    buf_close(&text);
    return since_mono_ms;
}
