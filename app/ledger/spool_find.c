/* spool_find.c - see spool.h: looking things up. */
#include "ledger/spool_inner.h"

#include <limits.h>

enum store_answer
spool_find(const struct spool *spool, const struct uuid *run_id,
           enum entry_kind kind, struct entry_receipt *receipt)
{
    const struct spool_item *item =
        spool_index_find(spool->index, run_id, kind);

    if (item == NULL)
        return STORE_NONE;
    *receipt = item->receipt;
    return STORE_FOUND;
}

static enum store_answer
copy_body(const struct spool_file *file, const struct spool_item *item,
          struct buf *body, struct err *err)
{
    for (size_t i = 0; i < file->count; i++) {
        const struct seal *entry = file->entries[i];

        if (entry->kind != item->kind ||
            !uuid_equals(&entry->run_id, &item->run_id))
            continue;
        if (buf_append(body, entry->body.bytes, entry->body.len) == BUF_OK)
            return STORE_FOUND;
        err_set(err, ERR_NOMEM, "an entry's body");
        return STORE_FAILED;
    }
    err_set(err, ERR_SYSTEM, "a spooled batch has changed");
    return STORE_FAILED;
}

enum store_answer
spool_read_body(const struct spool *spool, const struct uuid *run_id,
                enum entry_kind kind, struct buf *body, struct err *err)
{
    const struct spool_item *item =
        spool_index_find(spool->index, run_id, kind);
    enum store_answer answer = STORE_FAILED;
    struct spool_file *file;
    char path[PATH_MAX];

    if (item == NULL)
        return STORE_NONE;
    spool_path_of(spool, SPOOL_NEW, item->file, path);
    file = spool_file_read(path, err);
    if (file != NULL)
        answer = copy_body(file, item, body, err);
    spool_file_free(file);
    return answer;
}

int
spool_open_runs(const struct spool *spool,
                int (*each)(void *arg, const struct uuid *run_id,
                            struct err *err),
                void *arg, struct err *err)
{
    const struct spool_index *index = spool->index;
    const struct spool_item *item = NULL;

    while ((item = spool_index_next(index, item)) != NULL)
        if (item->kind == ENTRY_ACCEPTED &&
            spool_index_find(index, &item->run_id, ENTRY_FINISHED) == NULL &&
            spool_index_find(index, &item->run_id, ENTRY_ORPHANED) == NULL &&
            each(arg, &item->run_id, err) == -1)
            return -1;
    return 0;
}
