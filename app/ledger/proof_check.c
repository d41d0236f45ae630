/*
 * proof_check.c - checking proofs; see proof.h.
 *
 * Nothing in the text is believed: the body gives the leaf, the leaf and the
 * path a root, and a key that the caller knows says whether that was signed.
 */
#include "ledger/proof.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "ledger/checkpoint.h"
#include "ledger/columns.h"
#include "ledger/merkle_proof.h"
#include "text/json.h"

#define MAX_DEPTH 8
#define MAX_TEXT  512

struct checking {
    const struct proof_rules *rules;
    const struct proof_watcher *watcher;
    const char *run_id;
    struct checkpoint checkpoint; /* of the log at hand */
    char log_id[UUID_TEXT_LEN];
    size_t compared_count; /* anchors that had a root to compare with */
    struct columns columns;
};

/* ---- telling ----------------------------------------------------------- */

static void tell(const struct checking *checking,
                 void (*how)(void *arg, const char *text), const char *fmt, ...)
    ATTR_PRINTF(3, 4);

static void
tell(const struct checking *checking, void (*how)(void *arg, const char *text),
     const char *fmt, ...)
{
    char text[MAX_TEXT];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    how(checking->watcher->arg, text);
}

#define SHOWN(checking, ...) \
    tell((checking), (checking)->watcher->shown, __VA_ARGS__)
#define REFUTED(checking, ...) \
    tell((checking), (checking)->watcher->refuted, __VA_ARGS__)

/* ---- reading ----------------------------------------------------------- */

static bool
read_hash(const json_t *value, uint8_t hash[ENTRY_HASH_LEN])
{
    return json_is_string(value) &&
           str_from_hex(json_string_value(value), hash, ENTRY_HASH_LEN) == 0;
}

static bool
read_path(const json_t *list, struct merkle_path *path)
{
    path->count = json_array_size(list);
    if (!json_is_array(list) || path->count > MERKLE_MAX_PATH)
        return false;
    for (size_t i = 0; i < path->count; i++)
        if (!read_hash(json_array_get(list, i), path->hashes[i]))
            return false;
    return true;
}

/* ---- the checkpoint ---------------------------------------------------- */

/* False when nothing can be built on it. */
static bool
check_note(struct checking *checking, const json_t *log, struct err *err)
{
    const char *text = json_get_string(log, "checkpoint");
    enum note_verdict verdict;
    struct err why = { 0 };
    struct note note;

    if (text == NULL || note_split(&note, text, strlen(text), &why) == -1 ||
        checkpoint_parse(&checking->checkpoint, &note, &why) == -1) {
        REFUTED(checking, "a log without a checkpoint: %s",
                text != NULL ? why.text : "there is none");
        return false;
    }
    uuid_format(&checking->checkpoint.log_id, checking->log_id);
    if (note_check(&note, checking->rules->keys, checking->rules->key_count,
                   &verdict, err) == -1)
        return false;
    if (verdict == NOTE_SIGNED)
        SHOWN(checking, "log %s had %" PRId64 " entries and a root: signed",
              checking->log_id, checking->checkpoint.size);
    else
        REFUTED(checking, "log %s: the checkpoint %s", checking->log_id,
                verdict == NOTE_UNKNOWN ? "is signed by none of the keys given"
                                        : "has a false signature");
    return verdict == NOTE_SIGNED;
}

/* ---- entries ----------------------------------------------------------- */

/* Why the body is not of this run and place; NULL when it is. */
static const char *
what_is_wrong(struct checking *checking, const json_t *body, int64_t idx)
{
    const struct column_value *at = checking->columns.at;

    if (columns_read(&checking->columns, json_string_value(body),
                     json_string_length(body), NULL) == -1)
        return "its body is not an entry's";
    if (!column_is(&at[COLUMN_RUN_ID], checking->run_id))
        return "its body is of another run";
    if (!column_is(&at[COLUMN_LOG_ID], checking->log_id))
        return "its body is of another log";
    if (at[COLUMN_IDX].type != COLUMN_INT || at[COLUMN_IDX].number != idx)
        return "its body has another index";
    return NULL;
}

static int
check_entry(struct checking *checking, const json_t *entry, struct err *err)
{
    const json_t *body = json_object_get(entry, "body");
    const int64_t idx = json_get_int(entry, "index", -1);
    const char *wrong = "it has no body";
    uint8_t leaf[ENTRY_HASH_LEN], root[ENTRY_HASH_LEN];
    struct merkle_path path;
    struct err why = { 0 };

    if (json_is_string(body))
        wrong = what_is_wrong(checking, body, idx);
    if (wrong == NULL && !read_path(json_object_get(entry, "path"), &path))
        wrong = "its path is not a list of hashes";
    if (wrong == NULL) {
        if (merkle_leaf(json_string_value(body), json_string_length(body), leaf,
                        err) == -1)
            return -1;
        if (merkle_inclusion_root(leaf, idx, checking->checkpoint.size, &path,
                                  root, &why) == -1)
            wrong = why.text;
        else if (memcmp(root, checking->checkpoint.root, sizeof(root)) != 0)
            wrong = "its body and path do not lead to the root";
    }
    if (wrong != NULL)
        REFUTED(checking, "log %s, entry %" PRId64 ": %s", checking->log_id,
                idx, wrong);
    else
        SHOWN(checking, "log %s, entry %" PRId64 ": %.*s of run %s",
              checking->log_id, idx, (int)checking->columns.at[COLUMN_KIND].len,
              checking->columns.at[COLUMN_KIND].text, checking->run_id);
    return 0;
}

/* ---- growth ------------------------------------------------------------ */

static void
check_anchors(struct checking *checking, int64_t size, const uint8_t *root)
{
    for (size_t i = 0; i < checking->rules->anchor_count; i++) {
        const struct verify_anchor *anchor = &checking->rules->anchors[i];

        if (anchor->size != size ||
            !uuid_equals(&anchor->log_id, &checking->checkpoint.log_id))
            continue;
        checking->compared_count++;
        if (memcmp(anchor->root, root, ENTRY_HASH_LEN) == 0)
            SHOWN(checking,
                  "log %s: at %" PRId64
                  " entries it is the log that was kept elsewhere",
                  checking->log_id, size);
        else
            REFUTED(checking,
                    "log %s: at %" PRId64
                    " entries it is not the log that was kept elsewhere",
                    checking->log_id, size);
    }
}

static void
check_consistency(struct checking *checking, const json_t *shown)
{
    const int64_t from = json_get_int(shown, "from", 0);
    uint8_t root[ENTRY_HASH_LEN];
    struct merkle_path path;
    struct err why = { 0 };

    if (!json_is_object(shown))
        return;
    if (!read_hash(json_object_get(shown, "root"), root) ||
        !read_path(json_object_get(shown, "path"), &path))
        err_set(&why, ERR_INVALID, "its root and path are not hashes");
    else if (merkle_consistency_check(from, root, checking->checkpoint.size,
                                      checking->checkpoint.root, &path,
                                      &why) == 0) {
        SHOWN(checking,
              "log %s: continues the one that had %" PRId64
              " entries and the root %s",
              checking->log_id, from, json_get_string(shown, "root"));
        check_anchors(checking, from, root);
        return;
    }
    REFUTED(checking,
            "log %s: it is not shown to continue the one that had %" PRId64
            " entries: %s",
            checking->log_id, from, why.text);
}

/* ---- all of it --------------------------------------------------------- */

static int
check_log(struct checking *checking, const json_t *log, struct err *err)
{
    const json_t *entries = json_object_get(log, "entries");
    struct err why = { 0 };

    if (!check_note(checking, log, &why))
        return why.kind == ERR_NONE ? 0
                                    : err_set(err, why.kind, "%s", why.text);
    check_anchors(checking, checking->checkpoint.size,
                  checking->checkpoint.root);
    if (json_array_size(entries) == 0)
        REFUTED(checking, "log %s: no entry of the run", checking->log_id);
    for (size_t i = 0; i < json_array_size(entries); i++)
        if (check_entry(checking, json_array_get(entries, i), err) == -1)
            return -1;
    check_consistency(checking, json_object_get(log, "consistency"));
    return 0;
}

static int
check_all(struct checking *checking, const json_t *proof, struct err *err)
{
    const json_t *logs = json_object_get(proof, "logs");

    checking->run_id = json_get_string(proof, "run_id");
    if (json_get_int(proof, PROOF_MARK, 0) != PROOF_VERSION ||
        checking->run_id == NULL || !json_is_array(logs))
        return err_set(err, ERR_INVALID, "this is no proof of this version");
    if (json_array_size(logs) == 0)
        REFUTED(checking, "it has no log");
    for (size_t i = 0; i < json_array_size(logs); i++)
        if (check_log(checking, json_array_get(logs, i), err) == -1)
            return -1;
    if (checking->rules->anchor_count > 0 && checking->compared_count == 0)
        REFUTED(checking,
                "no head that was kept elsewhere has a size that this proof "
                "speaks of: make one with --from SIZE");
    return 0;
}

int
proof_check(const char *text, size_t len, const struct proof_rules *rules,
            const struct proof_watcher *watcher, struct err *err)
{
    struct checking checking = { .rules = rules, .watcher = watcher };
    json_t *proof = json_parse(text, len, MAX_DEPTH, err);
    int result = -1;

    if (proof != NULL)
        result = check_all(&checking, proof, err);
    json_decref(proof);
    return result;
}
