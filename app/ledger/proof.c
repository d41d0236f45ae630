/*
 * proof.c - making proofs; see proof.h.
 *
 * What a log was up to a checkpoint never changes, so each step may see another
 * moment of the ledger.
 */
#include "ledger/proof.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "ledger/checkpoint.h"
#include "ledger/merkle_proof.h"
#include "text/json.h"

#define MAX_ENTRIES     8 /* a run has at most three */
#define CLOCK_EVERY     4096
#define MAX_ENTRY_BYTES (4u << 20)

/* An entry of the run. */
struct piece {
    struct uuid log_id;
    int64_t idx;
    uint8_t leaf[ENTRY_HASH_LEN];
    struct buf body;
    struct merkle_prover prover;
};

struct making {
    struct source *source;
    const struct proof_request *request;
    struct piece pieces[MAX_ENTRIES];
    size_t piece_count;
    json_t *logs;
    size_t continued_count; /* logs that had request->from entries */

    /* The log at hand. */
    struct checkpoint checkpoint;
    struct buf note;
    struct merkle tree;
    struct merkle_prover consistency;
    uint8_t old_root[ENTRY_HASH_LEN];
};

static enum proof_result
damaged(const char *what, struct err *err)
{
    err_set(err, ERR_INVALID, "%s: tandemctl verify says more", what);
    return PROOF_FAILED;
}

static int
begin(struct making *making, const struct source_reading *reading,
      struct source_plan *plan, struct err *err)
{
    *plan = (struct source_plan){ .readings = reading,
                                  .count = 1,
                                  .deadline_mono_ms =
                                      making->request->deadline_mono_ms };
    return making->source->ops->begin(making->source, plan, err);
}

static enum source_step
next(struct making *making, enum source_query query, struct source_row *row,
     struct err *err)
{
    return making->source->ops->next(making->source, query, row, err);
}

static bool
is_hash(const struct source_value *value)
{
    return value->type == SOURCE_BYTES && value->len == ENTRY_HASH_LEN;
}

/* ---- the entries ------------------------------------------------------- */

static int
take_piece(struct making *making, const struct source_row *row, struct err *err)
{
    struct piece *piece = &making->pieces[making->piece_count];

    if (making->piece_count == MAX_ENTRIES || row->at[0].bytes == NULL ||
        uuid_parse(row->at[0].bytes, &piece->log_id) == -1 ||
        row->at[1].type != SOURCE_INT || !is_hash(&row->at[2]) ||
        row->at[3].type != SOURCE_TEXT)
        return err_set(err, ERR_INVALID,
                       "an entry of the run is damaged: tandemctl verify says "
                       "more");
    making->piece_count++;
    piece->idx = row->at[1].number;
    memcpy(piece->leaf, row->at[2].bytes, ENTRY_HASH_LEN);
    buf_init(&piece->body, MAX_ENTRY_BYTES);
    if (buf_append(&piece->body, row->at[3].bytes, row->at[3].len) != BUF_OK)
        return err_set(err, ERR_NOMEM, "proof");
    return 0;
}

static enum proof_result
read_pieces(struct making *making, struct err *err)
{
    const struct source_reading reading = { .query = SOURCE_RUN,
                                            .id = &making->request->run_id };
    enum source_step step;
    struct source_plan plan;
    struct source_row row;

    if (begin(making, &reading, &plan, err) == -1)
        return PROOF_FAILED;
    while ((step = next(making, SOURCE_RUN, &row, err)) == SOURCE_ROW)
        if (take_piece(making, &row, err) == -1)
            return PROOF_FAILED;
    if (step == SOURCE_FAILED)
        return PROOF_FAILED;
    return making->piece_count > 0 ? PROOF_MADE : PROOF_NO_RUN;
}

/* ---- one log ----------------------------------------------------------- */

static bool
is_in(const struct piece *piece, const struct uuid *log_id)
{
    return uuid_equals(&piece->log_id, log_id);
}

static enum proof_result
read_checkpoint(struct making *making, const struct uuid *log_id,
                struct err *err)
{
    const struct source_reading reading = { .query = SOURCE_LAST_CHECKPOINT,
                                            .id = log_id };
    enum source_step step;
    struct source_plan plan;
    struct source_row row;
    struct note note;

    if (begin(making, &reading, &plan, err) == -1)
        return PROOF_FAILED;
    step = next(making, SOURCE_LAST_CHECKPOINT, &row, err);
    if (step != SOURCE_ROW)
        return step == SOURCE_DONE ? PROOF_NOT_YET : PROOF_FAILED;
    buf_clear(&making->note);
    if (row.at[2].type != SOURCE_TEXT ||
        buf_append(&making->note, row.at[2].bytes, row.at[2].len) != BUF_OK ||
        note_split(&note, making->note.bytes, making->note.len, NULL) == -1 ||
        checkpoint_parse(&making->checkpoint, &note, NULL) == -1 ||
        !uuid_equals(&making->checkpoint.log_id, log_id))
        return damaged("the last checkpoint of the log is damaged", err);
    return PROOF_MADE;
}

static bool
continues(const struct making *making)
{
    return making->request->from > 0 &&
           making->request->from <= making->checkpoint.size;
}

static int
add_leaf(struct making *making, const uint8_t *leaf, struct err *err)
{
    const struct uuid *log_id = &making->checkpoint.log_id;

    for (size_t i = 0; i < making->piece_count; i++)
        if (is_in(&making->pieces[i], log_id) &&
            merkle_prover_add(&making->pieces[i].prover, leaf, err) == -1)
            return -1;
    if (continues(making) &&
        merkle_prover_add(&making->consistency, leaf, err) == -1)
        return -1;
    if (merkle_append(&making->tree, leaf, err) == -1)
        return -1;
    return making->tree.size == making->request->from
               ? merkle_root(&making->tree, making->old_root, err)
               : 0;
}

static enum proof_result
add_leaves(struct making *making, struct err *err)
{
    const struct source_reading reading = { .query = SOURCE_LEAVES,
                                            .id = &making->checkpoint.log_id,
                                            .size = making->checkpoint.size };
    uint8_t root[ENTRY_HASH_LEN];
    enum source_step step;
    struct source_plan plan;
    struct source_row row;

    if (begin(making, &reading, &plan, err) == -1)
        return PROOF_FAILED;
    while ((step = next(making, SOURCE_LEAVES, &row, err)) == SOURCE_ROW) {
        if (!is_hash(&row.at[0]))
            return damaged("a leaf hash is damaged", err);
        if (add_leaf(making, (const uint8_t *)row.at[0].bytes, err) == -1)
            return PROOF_FAILED;
        if (making->tree.size % CLOCK_EVERY == 0 &&
            clock_mono_ms() >= making->request->deadline_mono_ms)
            return PROOF_TOO_LONG;
    }
    if (step == SOURCE_FAILED || merkle_root(&making->tree, root, err) == -1)
        return PROOF_FAILED;
    if (making->tree.size != making->checkpoint.size ||
        memcmp(root, making->checkpoint.root, sizeof(root)) != 0)
        return damaged("the log is not what its checkpoint says", err);
    return PROOF_MADE;
}

/* ---- as JSON ----------------------------------------------------------- */

static json_t *
hash_to_json(const uint8_t *hash)
{
    char hex[2 * ENTRY_HASH_LEN + 1];

    str_to_hex(hash, ENTRY_HASH_LEN, hex);
    return json_string(hex);
}

static json_t *
path_to_json(const struct merkle_path *path)
{
    json_t *list = json_array();

    for (size_t i = 0; i < path->count; i++)
        if (json_array_append_new(list, hash_to_json(path->hashes[i])) == -1) {
            json_decref(list);
            return NULL;
        }
    return list;
}

static json_t *
pieces_to_json(const struct making *making)
{
    json_t *list = json_array();

    for (size_t i = 0; i < making->piece_count; i++) {
        const struct piece *piece = &making->pieces[i];

        if (!is_in(piece, &making->checkpoint.log_id))
            continue;
        if (json_array_append_new(
                list,
                json_pack(
                    "{s:I, s:s%, s:o, s:o}", "index", (json_int_t)piece->idx,
                    "body", piece->body.bytes, piece->body.len, "leaf_hash",
                    hash_to_json(piece->leaf), "path",
                    path_to_json(merkle_prover_path(&piece->prover)))) == -1) {
            json_decref(list);
            return NULL;
        }
    }
    return list;
}

static json_t *
consistency_to_json(const struct making *making)
{
    if (!continues(making))
        return json_null();
    return json_pack("{s:I, s:o, s:o}", "from",
                     (json_int_t)making->request->from, "root",
                     hash_to_json(making->old_root), "path",
                     path_to_json(merkle_prover_path(&making->consistency)));
}

static int
add_log(struct making *making, struct err *err)
{
    char log_id[UUID_TEXT_LEN];

    uuid_format(&making->checkpoint.log_id, log_id);
    if (json_array_append_new(
            making->logs,
            json_pack("{s:s, s:s%, s:o, s:o}", "log_id", log_id, "checkpoint",
                      making->note.bytes, making->note.len, "entries",
                      pieces_to_json(making), "consistency",
                      consistency_to_json(making))) == -1)
        return err_set(err, ERR_NOMEM, "proof");
    return 0;
}

/* ---- all of it --------------------------------------------------------- */

static enum proof_result
prove_log(struct making *making, const struct uuid *log_id, struct err *err)
{
    enum proof_result result = read_checkpoint(making, log_id, err);

    for (size_t i = 0; result == PROOF_MADE && i < making->piece_count; i++) {
        struct piece *piece = &making->pieces[i];

        if (!is_in(piece, log_id))
            continue;
        if (piece->idx < 0 || piece->idx >= making->checkpoint.size)
            result = PROOF_NOT_YET;
        else
            merkle_prover_inclusion(&piece->prover, piece->idx,
                                    making->checkpoint.size);
    }
    if (result != PROOF_MADE)
        return result;
    if (continues(making)) {
        making->continued_count++;
        merkle_prover_consistency(&making->consistency, making->request->from,
                                  making->checkpoint.size);
    }
    memset(&making->tree, 0, sizeof(making->tree));
    result = add_leaves(making, err);
    if (result == PROOF_MADE && add_log(making, err) == -1)
        return PROOF_FAILED;
    return result;
}

static enum proof_result
prove_all(struct making *making, struct err *err)
{
    enum proof_result result = read_pieces(making, err);

    for (size_t i = 0; result == PROOF_MADE && i < making->piece_count; i++) {
        bool is_done = false;

        for (size_t before = 0; before < i; before++)
            is_done = is_done ||
                      is_in(&making->pieces[before], &making->pieces[i].log_id);
        if (!is_done)
            result = prove_log(making, &making->pieces[i].log_id, err);
    }
    if (result == PROOF_MADE && making->request->from > 0 &&
        making->continued_count == 0)
        return PROOF_TOO_NEW;
    return result;
}

static enum proof_result
write_out(struct making *making, struct buf *out, struct err *err)
{
    char run_id[UUID_TEXT_LEN];
    json_t *proof;
    int result = -1;

    uuid_format(&making->request->run_id, run_id);
    proof = json_pack("{s:i, s:s, s:O}", PROOF_MARK, PROOF_VERSION, "run_id",
                      run_id, "logs", making->logs);
    if (proof == NULL)
        err_set(err, ERR_NOMEM, "proof");
    else if (json_write(proof, out, err) == 0)
        result = buf_append_str(out, "\n") == BUF_OK
                     ? 0
                     : err_set(err, ERR_NOMEM, "proof");
    json_decref(proof);
    return result == 0 ? PROOF_MADE : PROOF_FAILED;
}

enum proof_result
proof_make(struct source *source, const struct proof_request *request,
           struct buf *out, struct err *err)
{
    struct making *making = calloc(1, sizeof(*making));
    enum proof_result result;

    if (making == NULL) {
        err_set(err, ERR_NOMEM, "proof");
        return PROOF_FAILED;
    }
    making->source = source;
    making->request = request;
    making->logs = json_array();
    buf_init(&making->note, NOTE_MAX_BYTES);
    result = prove_all(making, err);
    if (result == PROOF_MADE)
        result = write_out(making, out, err);
    for (size_t i = 0; i < making->piece_count; i++)
        buf_close(&making->pieces[i].body);
    buf_close(&making->note);
    json_decref(making->logs);
    free(making);
    return result;
}
