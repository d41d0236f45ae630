/*
 * verify_checkpoints.c - what was signed, and the roots that logs must
 * therefore have had; see verify_pass.h.
 */
#include "ledger/verify_pass.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ledger/checkpoint.h"

static int
compare_marks(const void *a, const void *b)
{
    const struct verify_mark *one = a, *other = b;
    const int order = memcmp(&one->log_id, &other->log_id, sizeof(one->log_id));

    if (order != 0)
        return order;
    return (one->size > other->size) - (one->size < other->size);
}

size_t
verify_find_mark(const struct verify *verify, const struct uuid *log_id)
{
    const struct verify_mark wanted = { .log_id = *log_id, .size = INT64_MIN };
    size_t low = 0, high = verify->mark_count;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;

        if (compare_marks(&verify->marks[middle], &wanted) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static int
keep_mark(struct verify *verify, const struct verify_mark *mark,
          struct err *err)
{
    if (verify->mark_count == verify->mark_capacity) {
        const size_t capacity =
            verify->mark_capacity == 0 ? 1024 : 2 * verify->mark_capacity;
        struct verify_mark *marks;

        if (verify->mark_count >= VERIFY_MAX_MARKS)
            return err_set(err, ERR_LIMIT, "more than %d checkpoints",
                           VERIFY_MAX_MARKS);
        marks = realloc(verify->marks, capacity * sizeof(*marks));
        if (marks == NULL)
            return err_set(err, ERR_NOMEM, "list of checkpoints");
        verify->marks = marks;
        verify->mark_capacity = capacity;
    }
    verify->marks[verify->mark_count++] = *mark;
    return 0;
}

static int
keep_anchors(struct verify *verify, struct err *err)
{
    const struct verify_options *options = verify->options;

    for (size_t i = 0; i < options->anchor_count; i++) {
        struct verify_mark mark = { .log_id = options->anchors[i].log_id,
                                    .size = options->anchors[i].size,
                                    .is_anchor = true };

        memcpy(mark.root, options->anchors[i].root, sizeof(mark.root));
        if (keep_mark(verify, &mark, err) == -1)
            return -1;
    }
    return 0;
}

/* ---- the ledger's own -------------------------------------------------- */

static int
check_signature(struct verify *verify, const struct note *note,
                const struct verify_place *place, struct err *err)
{
    enum note_verdict verdict;

    if (verify->options->key_count == 0)
        return 0;
    if (note_check(note, verify->options->keys, verify->options->key_count,
                   &verdict, err) == -1)
        return -1;
    if (verdict == NOTE_UNKNOWN)
        verify_report(verify, VERIFY_FINDING, "checkpoint", place,
                      "the checkpoint is signed by none of the keys given");
    if (verdict == NOTE_FORGED)
        verify_report(verify, VERIFY_FINDING, "checkpoint", place,
                      "the checkpoint's signature is false");
    return 0;
}

static bool
columns_agree(const struct checkpoint *checkpoint, const struct source_row *row,
              const char *log_id)
{
    struct uuid id;

    return log_id != NULL && uuid_parse(log_id, &id) == 0 &&
           uuid_equals(&id, &checkpoint->log_id) &&
           row->at[1].type == SOURCE_INT &&
           row->at[1].number == checkpoint->size &&
           row->at[2].type == SOURCE_BYTES &&
           row->at[2].len == sizeof(checkpoint->root) &&
           memcmp(row->at[2].bytes, checkpoint->root,
                  sizeof(checkpoint->root)) == 0;
}

static int
check_row(struct verify *verify, const struct source_row *row, struct err *err)
{
    const char *log_id = row->at[0].bytes;
    const struct verify_place place = { .log_id = log_id, .idx = -1 };
    const struct source_value *text = &row->at[3];
    struct checkpoint checkpoint;
    struct verify_mark mark = { .is_anchor = false };
    struct err why = { 0 };
    struct note note;

    verify->counts.checkpoints++;
    if (text->type != SOURCE_TEXT ||
        note_split(&note, text->bytes, text->len, &why) == -1 ||
        checkpoint_parse(&checkpoint, &note, &why) == -1) {
        verify_report(verify, VERIFY_FINDING, "checkpoint", &place,
                      "a checkpoint cannot be read: %s", why.text);
        return 0;
    }
    if (!columns_agree(&checkpoint, row, log_id))
        verify_report(verify, VERIFY_FINDING, "checkpoint", &place,
                      "a checkpoint's columns are not what its note says");
    mark.log_id = checkpoint.log_id;
    mark.size = checkpoint.size;
    memcpy(mark.root, checkpoint.root, sizeof(mark.root));
    if (check_signature(verify, &note, &place, err) == -1)
        return -1;
    return keep_mark(verify, &mark, err);
}

int
verify_checkpoints(struct verify *verify, struct err *err)
{
    static const struct verify_place nowhere = { .idx = -1 };
    struct source_row row;
    enum source_step step;

    if (keep_anchors(verify, err) == -1)
        return -1;
    while ((step = verify_next(verify, SOURCE_CHECKPOINTS, &row, err)) ==
           SOURCE_ROW)
        if (check_row(verify, &row, err) == -1)
            return -1;
    if (verify->mark_count > 0)
        qsort(verify->marks, verify->mark_count, sizeof(*verify->marks),
              compare_marks);
    if (verify->counts.checkpoints > 0 && verify->options->key_count == 0)
        verify_report(verify, VERIFY_NOTE, "checkpoint", &nowhere,
                      "signatures were not checked: no key was given");
    return step == SOURCE_DONE ? 0 : -1;
}
