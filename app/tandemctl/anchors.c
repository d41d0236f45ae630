/*
 * anchors.c - see anchors.h.
 *
 * Notes follow one another, parted by empty lines: a text, an empty line,
 * signatures.  What begins after a signature, and is none, is the next note.
 */
#include "tandemctl/anchors.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/str.h"
#include "ledger/checkpoint.h"

#define DASH     "\xe2\x80\x94 "
#define DASH_LEN (sizeof(DASH) - 1)

/* A file on its way through. */
struct sheet {
    struct anchors *anchors;
    const char *path;
    const struct note_key *keys;
    size_t key_count;
    void (*on_bad)(void *arg, const char *path, int64_t line, const char *what);
    void *arg;
    int64_t line;
    int64_t found_count; /* good or bad */
    bool is_signed;      /* the note at hand has a signature already */
    struct buf note;
};

/* LOG:SIZE:ROOT, as verify prints it. */
static int
parse_head(const char *text, struct verify_anchor *head)
{
    char copy[160];
    char *size, *root;

    if (strlen(text) >= sizeof(copy))
        return -1;
    strcpy(copy, text);
    size = strchr(copy, ':');
    if (size == NULL)
        return -1;
    *size++ = '\0';
    root = strchr(size, ':');
    if (root == NULL)
        return -1;
    *root++ = '\0';
    if (strlen(root) != 2 * ENTRY_HASH_LEN ||
        uuid_parse(copy, &head->log_id) == -1 ||
        str_to_int(size, 1, INT64_MAX, &head->size) == -1)
        return -1;
    return str_from_hex(root, head->root, ENTRY_HASH_LEN);
}

int
command_add_anchor(struct command_options *options, const char *text,
                   struct err *err)
{
    if (options->head_count == COMMAND_MAX_HEADS)
        return err_set(err, ERR_LIMIT, "more than %d heads", COMMAND_MAX_HEADS);
    if (parse_head(text, &options->heads[options->head_count]) == 0) {
        options->head_count++;
        return 0;
    }
    if (access(text, F_OK) == -1)
        return err_set(err, ERR_INVALID,
                       "%s is neither LOG:SIZE:ROOT as verify prints it nor a "
                       "file",
                       text);
    if (options->anchor_file_count == COMMAND_MAX_FILES)
        return err_set(err, ERR_LIMIT, "more than %d files", COMMAND_MAX_FILES);
    options->anchor_files[options->anchor_file_count++] = text;
    return 0;
}

static int
add(struct anchors *anchors, const struct verify_anchor *anchor,
    struct err *err)
{
    if (anchors->count == anchors->capacity) {
        const size_t capacity =
            anchors->capacity == 0 ? 64 : 2 * anchors->capacity;
        struct verify_anchor *all;

        if (anchors->count >= ANCHORS_MAX)
            return err_set(err, ERR_LIMIT, "more than %d checkpoints",
                           ANCHORS_MAX);
        all = realloc(anchors->all, capacity * sizeof(*all));
        if (all == NULL)
            return err_set(err, ERR_NOMEM, "list of anchors");
        anchors->all = all;
        anchors->capacity = capacity;
    }
    anchors->all[anchors->count++] = *anchor;
    return 0;
}

static int
take_checkpoint(struct sheet *sheet, const struct checkpoint *checkpoint,
                struct err *err)
{
    struct verify_anchor anchor = { .log_id = checkpoint->log_id,
                                    .size = checkpoint->size };

    memcpy(anchor.root, checkpoint->root, sizeof(anchor.root));
    return add(sheet->anchors, &anchor, err);
}

static void
complain(struct sheet *sheet, const char *what)
{
    sheet->on_bad(sheet->arg, sheet->path, sheet->line, what);
}

static int
take_note(struct sheet *sheet, struct err *err)
{
    enum note_verdict verdict = NOTE_SIGNED;
    struct checkpoint checkpoint;
    struct err why = { 0 };
    struct note note;

    if (note_split(&note, buf_cstr(&sheet->note), sheet->note.len, &why) ==
            -1 ||
        checkpoint_parse(&checkpoint, &note, &why) == -1) {
        complain(sheet, why.text);
        return 0;
    }
    if (sheet->key_count > 0 &&
        note_check(&note, sheet->keys, sheet->key_count, &verdict, err) == -1)
        return -1;
    if (verdict == NOTE_SIGNED)
        return take_checkpoint(sheet, &checkpoint, err);
    complain(sheet, verdict == NOTE_UNKNOWN
                        ? "it is signed by none of the keys given"
                        : "its signature is false");
    return 0;
}

static int
end_note(struct sheet *sheet, struct err *err)
{
    int result = 0;

    if (sheet->note.len > 0) {
        sheet->found_count++;
        result = take_note(sheet, err);
    }
    buf_clear(&sheet->note);
    sheet->is_signed = false;
    return result;
}

static int
take_line(struct sheet *sheet, const char *text, size_t len, struct err *err)
{
    const bool is_signature =
        len >= DASH_LEN && memcmp(text, DASH, DASH_LEN) == 0;
    const bool is_empty = len == 1 && text[0] == '\n';

    if (sheet->is_signed && !is_signature && end_note(sheet, err) == -1)
        return -1;
    sheet->line++;
    if (is_empty && sheet->note.len == 0)
        return 0;
    sheet->is_signed = is_signature;
    if (buf_append(&sheet->note, text, len) != BUF_OK)
        return err_set(err, ERR_INVALID,
                       "%s is no file of checkpoints (line %lld)", sheet->path,
                       (long long)sheet->line);
    return 0;
}

static int
read_lines(struct sheet *sheet, FILE *file, struct err *err)
{
    char line[NOTE_MAX_BYTES];

    while (fgets(line, sizeof(line), file) != NULL)
        if (take_line(sheet, line, strlen(line), err) == -1)
            return -1;
    if (ferror(file) != 0)
        return err_set_errno(err, ERR_SYSTEM, "%s", sheet->path);
    if (end_note(sheet, err) == -1)
        return -1;
    if (sheet->found_count == 0)
        return err_set(err, ERR_INVALID, "there is no checkpoint in %s",
                       sheet->path);
    return 0;
}

static int
read_file(struct sheet *sheet, struct err *err)
{
    FILE *file = fopen(sheet->path, "re");
    int result;

    if (file == NULL)
        return err_set_errno(err, ERR_SYSTEM, "cannot open %s", sheet->path);
    buf_init(&sheet->note, 2 * NOTE_MAX_BYTES);
    result = read_lines(sheet, file, err);
    buf_close(&sheet->note);
    fclose(file);
    return result;
}

int
anchors_read_all(struct anchors *anchors, const struct command_options *options,
                 void (*on_bad)(void *arg, const char *path, int64_t line,
                                const char *what),
                 void *arg, struct err *err)
{
    for (size_t i = 0; i < options->head_count; i++)
        if (add(anchors, &options->heads[i], err) == -1)
            return -1;
    for (size_t i = 0; i < options->anchor_file_count; i++) {
        struct sheet sheet = { .anchors = anchors,
                               .path = options->anchor_files[i],
                               .keys = options->keys,
                               .key_count = options->key_count,
                               .on_bad = on_bad,
                               .arg = arg };

        if (read_file(&sheet, err) == -1)
            return -1;
    }
    return 0;
}
