/* seal.c - see seal.h. */
#include "ledger/seal.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "client/crypto.h"
#include "ledger/merkle.h"
#include "text/json.h"
#include "text/utf8.h"

#define COMMITMENT_PREFIX 0x03
#define KEEP_BODY_BYTES   8192 /* an ordinary body stays allocated */
#define LEFT_STATUS       "cancelled"

void
seal_init(struct seal *seal)
{
    memset(seal, 0, sizeof(*seal));
    buf_init(&seal->body, SEAL_MAX_BODY_BYTES);
}

void
seal_close(struct seal *seal)
{
    buf_close(&seal->body);
}

int
seal_commitment(const uint8_t salt[ENTRY_SALT_LEN], const void *bytes,
                size_t len, uint8_t hash[ENTRY_HASH_LEN], struct err *err)
{
    static const uint8_t prefix = COMMITMENT_PREFIX;
    const struct crypto_part parts[] = { { &prefix, 1 },
                                         { salt, ENTRY_SALT_LEN },
                                         { bytes, len } };

    return crypto_sha256(parts, ARRAY_LEN(parts), hash, err);
}

/* ---- content ----------------------------------------------------------- */

/* A new object {part, sha256, len, cleaned}, or NULL. */
static json_t *
commit_to(const struct entry_content *content,
          const uint8_t salt[ENTRY_SALT_LEN], struct err *err)
{
    const char *name = entry_part_name(content->part);
    uint8_t hash[ENTRY_HASH_LEN];
    char hex[2 * ENTRY_HASH_LEN + 1];
    json_t *object;

    if (!utf8_is_clean(content->bytes, content->len)) {
        err_set(err, ERR_INVALID, "the text of %s is not clean UTF-8", name);
        return NULL;
    }
    if (seal_commitment(salt, content->bytes, content->len, hash, err) == -1)
        return NULL;
    str_to_hex(hash, sizeof(hash), hex);
    object = json_pack("{s:s, s:s, s:I, s:b}", "part", name, "sha256", hex,
                       "len", (json_int_t)content->len, "cleaned",
                       content->cleaned ? 1 : 0);
    if (object == NULL)
        err_set(err, ERR_NOMEM, "commitment");
    return object;
}

static json_t *
commit_to_all(struct seal *seal, struct err *err)
{
    json_t *list = json_array();

    if (list == NULL) {
        err_set(err, ERR_NOMEM, "commitments");
        return NULL;
    }
    if (crypto_random(seal->salts, seal->part_count * ENTRY_SALT_LEN, err) ==
        -1)
        goto fail;
    for (size_t i = 0; i < seal->part_count; i++) {
        json_t *one = commit_to(&seal->parts[i], seal->salts[i], err);

        if (one == NULL)
            goto fail;
        if (json_array_append_new(list, one) == -1) {
            err_set(err, ERR_NOMEM, "commitments");
            goto fail;
        }
    }
    return list;

fail:
    json_decref(list);
    return NULL;
}

/* ---- the body ---------------------------------------------------------- */

/* A new object with what the scribe adds to the facts, or NULL.  Takes over
 * content. */
static json_t *
new_frame_take(const struct seal *seal, json_t *content, struct err *err)
{
    static const struct uuid none = { { 0 } };
    const bool about_log = memcmp(&seal->run_id, &none, sizeof(none)) == 0;
    char log_id[UUID_TEXT_LEN], run_id[UUID_TEXT_LEN];
    char recorded_at[CLOCK_UTC_LEN];
    json_t *frame;

    uuid_format(&seal->place.log_id, log_id);
    uuid_format(&seal->run_id, run_id);
    clock_format_utc(seal->place.recorded_unix_us, recorded_at);
    frame = json_pack("{s:i, s:I, s:s, s:s, s:s, s:s?, s:o}", "v", ENTRY_FORMAT,
                      "idx", (json_int_t)seal->place.idx, "kind",
                      entry_kind_name(seal->kind), "log_id", log_id,
                      "recorded_at", recorded_at, "run_id",
                      about_log ? NULL : run_id, "content", content);
    if (frame == NULL)
        err_set(err, ERR_NOMEM, "entry");
    return frame;
}

/* Facts may not pretend to be what the scribe adds. */
static int
check_facts(const json_t *facts, json_t *frame, struct err *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(facts))
        return err_set(err, ERR_INVALID, "the facts are not an object");
    json_object_foreach(frame, key, value) if (
        json_object_get(facts, key) !=
        NULL) return err_set(err, ERR_INVALID,
                             "the facts hold %s, which is the scribe's", key);
    return 0;
}

static int
write_body(struct seal *seal, const json_t *facts, struct err *err)
{
    /* Jansson counts references even in what it only reads. */
    json_t *counted_facts = (json_t *)(uintptr_t)facts;
    json_t *content = commit_to_all(seal, err);
    json_t *body;
    int result = -1;

    if (content == NULL)
        return -1;
    body = new_frame_take(seal, content, err);
    if (body == NULL || check_facts(facts, body, err) == -1)
        goto out;
    if (json_object_update(body, counted_facts) == -1) {
        err_set(err, ERR_NOMEM, "entry");
        goto out;
    }
    buf_shrink(&seal->body, KEEP_BODY_BYTES);
    result = json_write_canonical(body, &seal->body, err);
out:
    json_decref(body);
    return result;
}

/* Nothing but that the client left: it has no texts and one status. */
static int
check_left(const struct seal *seal, struct err *err)
{
    if (seal->part_count > 0)
        return err_set(err, ERR_INVALID, "a left entry has no texts");
    if (!column_is(&seal->columns.at[COLUMN_STATUS], LEFT_STATUS))
        return err_set(err, ERR_INVALID,
                       "the status of a left entry is not " LEFT_STATUS);
    return 0;
}

/* Without these a run could be neither listed nor told apart from others. */
static int
check_columns(const struct seal *seal, struct err *err)
{
    const struct column_value *at = seal->columns.at;
    const bool from_worker = seal->kind == ENTRY_ACCEPTED ||
                             seal->kind == ENTRY_FINISHED ||
                             seal->kind == ENTRY_LEFT;

    if (from_worker && at[COLUMN_STARTED_AT].type == COLUMN_NULL)
        return err_set(err, ERR_INVALID, "the facts lack started_at");
    if (seal->kind == ENTRY_FINISHED && at[COLUMN_STATUS].type == COLUMN_NULL)
        return err_set(err, ERR_INVALID, "the facts lack status");
    return seal->kind == ENTRY_LEFT ? check_left(seal, err) : 0;
}

int
seal_record(struct seal *seal, const struct entry_record *record,
            const struct seal_place *place, struct err *err)
{
    assert(record->part_count <= ENTRY_MAX_PARTS);
    seal->kind = record->kind;
    seal->run_id = record->run_id;
    seal->place = *place;
    seal->parts = record->parts;
    seal->part_count = record->part_count;
    if (write_body(seal, record->facts, err) == -1)
        return -1;
    if (columns_read(&seal->columns, seal->body.bytes, seal->body.len, err) ==
            -1 ||
        check_columns(seal, err) == -1)
        return -1;
    return merkle_leaf(seal->body.bytes, seal->body.len, seal->leaf_hash, err);
}

static int
restore_uuid(const struct column_value *value, struct uuid *uuid,
             struct err *err)
{
    char text[UUID_TEXT_LEN];

    if (value->type == COLUMN_TEXT && value->len == sizeof(text) - 1) {
        memcpy(text, value->text, value->len);
        text[value->len] = '\0';
        if (uuid_parse(text, uuid) == 0)
            return 0;
    }
    return err_set(err, ERR_INVALID, "an id of the body is no UUID");
}

static int
restore_kind(const struct column_value *value, enum entry_kind *kind,
             struct err *err)
{
    for (int i = 0; i < ENTRY_KIND_COUNT; i++)
        if (column_is(value, entry_kind_name((enum entry_kind)i))) {
            *kind = (enum entry_kind)i;
            return 0;
        }
    return err_set(err, ERR_INVALID, "the body is of no kind we know");
}

static int
restore_place(struct seal *seal, struct err *err)
{
    const struct column_value *at = seal->columns.at;

    if (at[COLUMN_IDX].type != COLUMN_INT ||
        at[COLUMN_RECORDED_AT].type != COLUMN_INT)
        return err_set(err, ERR_INVALID, "the body lacks its place");
    seal->place.idx = at[COLUMN_IDX].number;
    seal->place.recorded_unix_us = at[COLUMN_RECORDED_AT].number;
    if (restore_kind(&at[COLUMN_KIND], &seal->kind, err) == -1 ||
        restore_uuid(&at[COLUMN_LOG_ID], &seal->place.log_id, err) == -1)
        return -1;
    memset(&seal->run_id, 0, sizeof(seal->run_id));
    if (at[COLUMN_RUN_ID].type == COLUMN_NULL)
        return 0;
    return restore_uuid(&at[COLUMN_RUN_ID], &seal->run_id, err);
}

int
seal_restore(struct seal *seal, const char *body, size_t len, struct err *err)
{
    buf_shrink(&seal->body, KEEP_BODY_BYTES);
    if (buf_error(&seal->body, buf_append(&seal->body, body, len), "the body",
                  err) == -1)
        return -1;
    if (!utf8_is_clean(body, len))
        return err_set(err, ERR_INVALID, "the body is no UTF-8");
    if (columns_read(&seal->columns, seal->body.bytes, seal->body.len, err) ==
            -1 ||
        restore_place(seal, err) == -1)
        return -1;
    return merkle_leaf(seal->body.bytes, seal->body.len, seal->leaf_hash, err);
}

struct entry_receipt
seal_receipt(const struct seal *seal)
{
    struct entry_receipt receipt = {
        .state = ENTRY_COMMITTED,
        .log_id = seal->place.log_id,
        .idx = seal->place.idx,
        .recorded_unix_us = seal->place.recorded_unix_us,
    };

    memcpy(receipt.leaf_hash, seal->leaf_hash, ENTRY_HASH_LEN);
    return receipt;
}
