/*
 * spool.c - tandemctl spool: what waits for the database, and trying it now.
 *
 * The scribe alone writes in the spool.  This only moves batches that were set
 * aside back to those that wait, and leaves the file that asks for an attempt.
 */
#include "tandemctl/command.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "ledger/spool.h"
#include "sys/fd.h"
#include "sys/file.h"

#define LOOK_MS    200 /* between looks at whether it is empty */
#define TELL_MS    1000
#define NAME_WIDTH 22

/* ---- files --------------------------------------------------------------- */

static int
is_file(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Calls each() for every file of a folder of the spool, in their order, until
 * it does not return COMMAND_OK. */
static enum command_exit
for_each(const char *spool, const char *subfolder,
         enum command_exit (*each)(void *arg, const char *spool,
                                   const char *subfolder, const char *name),
         void *arg)
{
    enum command_exit code = COMMAND_OK;
    char folder[PATH_MAX];
    struct dirent **names;
    int count;

    snprintf(folder, sizeof(folder), "%s/%s", spool, subfolder);
    count = scandir(folder, &names, is_file, alphasort);
    if (count == -1)
        return command_complain("cannot read the spool %s: %s. Name it in "
                                "SPOOL_DIR or its parent in STATE_DIR, and run "
                                "this as root or as tandemd's user",
                                folder, strerror(errno));
    for (int i = 0; i < count; i++) {
        if (code == COMMAND_OK)
            code = each(arg, spool, subfolder, names[i]->d_name);
        free(names[i]);
    }
    free(names);
    return code;
}

static enum command_exit
count_one(void *arg, const char *spool, const char *subfolder, const char *name)
{
    size_t *count = arg;

    (void)spool;
    (void)subfolder;
    (void)name;
    (*count)++;
    return COMMAND_OK;
}

/* ---- ls ------------------------------------------------------------------ */

struct listing {
    bool json;
    size_t files;
    size_t entries;
};

/* A batch may be committed and gone between the look at its folder and this. */
static bool
has_gone(const char *path)
{
    return access(path, F_OK) == -1 && errno == ENOENT;
}

/* Whoever may write into the folder chose it. */
static void
print_file_name(const char *subfolder, const char *name)
{
    printf("%-4s  ", subfolder);
    command_print_in_line(name);
    printf("%*s  ", (int)(NAME_WIDTH - strnlen(name, NAME_WIDTH)), "");
}

static enum command_exit
print_damaged(const struct listing *listing, const char *subfolder,
              const char *name, const char *why)
{
    json_t *object;
    bool printed;

    if (!listing->json) {
        print_file_name(subfolder, name);
        fputs("cannot be read: ", stdout);
        command_print_in_line(why);
        putchar('\n');
        return COMMAND_OK;
    }
    object = json_pack("{s:s, s:s, s:s}", "folder", subfolder, "file", name,
                       "damaged", why);
    printed = object != NULL && command_print_json(object);
    json_decref(object);
    return printed ? COMMAND_OK : command_complain("not enough memory");
}

static enum command_exit
print_batch(const struct listing *listing, const char *subfolder,
            const char *name, const struct spool_file *file)
{
    const struct seal *first = file->entries[0];
    char log_id[UUID_TEXT_LEN], since[CLOCK_UTC_LEN];
    json_t *object;
    bool printed;

    uuid_format(&first->place.log_id, log_id);
    clock_format_utc(first->place.recorded_unix_us, since);
    if (!listing->json) {
        print_file_name(subfolder, name);
        printf("%.19sZ  %7zu  %10zu  %s:%" PRId64 "\n", since, file->count,
               file->bytes, log_id, first->place.idx);
        return COMMAND_OK;
    }
    object =
        json_pack("{s:s, s:s, s:s, s:I, s:I, s:s, s:I}", "folder", subfolder,
                  "file", name, "since", since, "entries",
                  (json_int_t)file->count, "bytes", (json_int_t)file->bytes,
                  "log_id", log_id, "first_idx", (json_int_t)first->place.idx);
    printed = object != NULL && command_print_json(object);
    json_decref(object);
    return printed ? COMMAND_OK : command_complain("not enough memory");
}

static enum command_exit
list_one(void *arg, const char *spool, const char *subfolder, const char *name)
{
    struct listing *listing = arg;
    struct err err = { 0 };
    struct spool_file *file;
    enum command_exit code;
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s/%s", spool, subfolder, name);
    file = spool_file_read(path, &err);
    if (file == NULL && has_gone(path))
        return COMMAND_OK;
    if (listing->files++ == 0 && !listing->json)
        printf("%-4s  %-*s  %-20s  %7s  %10s  %s\n", "IN", NAME_WIDTH, "FILE",
               "SINCE", "ENTRIES", "BYTES", "FIRST ENTRY");
    if (file == NULL)
        return print_damaged(listing, subfolder, name, err.text);
    listing->entries += file->count;
    code = print_batch(listing, subfolder, name, file);
    spool_file_free(file);
    return code;
}

static enum command_exit
list_spool(const struct command_options *options)
{
    struct listing listing = { .json = options->json };
    enum command_exit code =
        for_each(options->spool, SPOOL_NEW, list_one, &listing);

    if (code == COMMAND_OK)
        code = for_each(options->spool, SPOOL_BAD, list_one, &listing);
    if (code != COMMAND_OK || listing.json)
        return code;
    if (listing.files == 0)
        puts("The spool is empty.");
    else
        printf("%zu entries in %zu files. Those in %s wait for the database; "
               "those in %s it would not take.\n",
               listing.entries, listing.files, SPOOL_NEW, SPOOL_BAD);
    return COMMAND_OK;
}

/* ---- drain --------------------------------------------------------------- */

static enum command_exit
put_back(void *arg, const char *spool, const char *subfolder, const char *name)
{
    char from[PATH_MAX], to[PATH_MAX];
    struct err err = { 0 };

    (void)arg;
    snprintf(from, sizeof(from), "%s/%s/%s", spool, subfolder, name);
    snprintf(to, sizeof(to), "%s/%s/%s", spool, SPOOL_NEW, name);
    if (file_move(from, to, &err) == -1)
        return command_complain("%s", err.text);
    return COMMAND_OK;
}

/* The file belongs to the folder's owner, so that the scribe can remove it
 * whoever asks. */
static enum command_exit
ask_for_attempt(const char *spool)
{
    struct err err = { 0 };
    char path[PATH_MAX];

    snprintf(path, sizeof(path), "%s/%s", spool, SPOOL_DRAIN);
    if (file_write_durably(path, 0600, "", 0, &err) == -1)
        return command_complain("cannot ask for an attempt: %s", err.text);
    return COMMAND_OK;
}

/* Nothing waits any more; so many batches lay aside before. */
static enum command_exit
tell_end(const struct command_options *options, size_t before)
{
    size_t count = 0;
    const enum command_exit code =
        for_each(options->spool, SPOOL_BAD, count_one, &count);

    if (code != COMMAND_OK)
        return code;
    if (count > before) {
        command_complain("%zu batches were refused and lie in %s: tandemd's "
                         "log says why (ledger_batch_set_aside)",
                         count - before, SPOOL_BAD);
        return COMMAND_NEGATIVE;
    }
    if (count == 0)
        puts("The spool is empty.");
    else
        printf("No batch waits. %zu that were refused earlier lie in %s: "
               "--set-aside has them tried again.\n",
               count, SPOOL_BAD);
    return COMMAND_OK;
}

static enum command_exit
wait_until_empty(const struct command_options *options, size_t set_aside)
{
    const int64_t end_by_mono_ms = clock_mono_ms() + options->timeout_ms;
    int64_t tell_mono_ms = clock_mono_ms() + TELL_MS;

    for (;;) {
        size_t count = 0;
        enum command_exit code =
            for_each(options->spool, SPOOL_NEW, count_one, &count);

        if (code != COMMAND_OK)
            return code;
        if (count == 0)
            return tell_end(options, set_aside);
        if (clock_mono_ms() >= tell_mono_ms) {
            fprintf(stderr, "%zu batches wait\n", count);
            tell_mono_ms += TELL_MS;
        }
        if (clock_mono_ms() >= end_by_mono_ms) {
            command_complain("%zu batches still wait. Does tandemd run, and "
                             "what does its log say (ledger_store_away)? "
                             "tandemctl doctor looks at the database",
                             count);
            return COMMAND_NEGATIVE;
        }
        fd_wait(-1, 0, clock_mono_ms() + LOOK_MS);
    }
}

static enum command_exit
drain_spool(const struct command_options *options)
{
    enum command_exit code = COMMAND_OK;
    size_t set_aside = 0;

    if (options->set_aside)
        code = for_each(options->spool, SPOOL_BAD, put_back, NULL);
    if (code == COMMAND_OK)
        code = for_each(options->spool, SPOOL_BAD, count_one, &set_aside);
    if (code == COMMAND_OK)
        code = ask_for_attempt(options->spool);
    return code == COMMAND_OK ? wait_until_empty(options, set_aside) : code;
}

enum command_exit
command_spool(const struct command_options *options)
{
    if (strcmp(options->verb, "ls") == 0)
        return list_spool(options);
    if (strcmp(options->verb, "drain") == 0)
        return drain_spool(options);
    return command_complain("spool knows ls and drain, not \"%s\"",
                            options->verb);
}
