/* seal.c - see seal.h. */
#include "ledger/seal.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/str.h"
#include "client/crypto.h"
#include "ledger/canon.h"
#include "ledger/merkle.h"
#include "text/jsonw.h"
#include "text/utf8.h"

#define COMMITMENT_PREFIX 0x03
#define KEEP_BODY_BYTES   8192 /* an ordinary body stays allocated */
#define MAX_FACTS_BYTES   (SEAL_MAX_BODY_BYTES - 4096) /* room for our own */
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

/* ---- what the scribe adds ---------------------------------------------- */

struct writing {
    const struct seal *seal;
    struct jsonw body;
    uint8_t commitments[ENTRY_MAX_PARTS][ENTRY_HASH_LEN];
};

static int
commit_to_all(struct seal *seal, struct writing *writing, struct err *err)
{
    const size_t count = seal->part_count;

    if (count > 0 &&
        crypto_random(seal->salts, count * ENTRY_SALT_LEN, err) == -1)
        return -1;
    for (size_t i = 0; i < count; i++) {
        const struct entry_content *content = &seal->parts[i];

        if (!utf8_is_clean(content->bytes, content->len))
            return err_set(err, ERR_INVALID,
                           "the text of %s is not clean UTF-8",
                           entry_part_name(content->part));
        if (seal_commitment(seal->salts[i], content->bytes, content->len,
                            writing->commitments[i], err) == -1)
            return -1;
    }
    return 0;
}

static void
add_content(struct writing *writing, const char *name)
{
    struct jsonw *body = &writing->body;
    char hex[ENTRY_HASH_HEX_LEN + 1];

    jsonw_array(body, name);
    for (size_t i = 0; i < writing->seal->part_count; i++) {
        const struct entry_content *content = &writing->seal->parts[i];

        str_to_hex(writing->commitments[i], ENTRY_HASH_LEN, hex);
        jsonw_object(body, NULL);
        jsonw_bool(body, "cleaned", content->cleaned);
        jsonw_int(body, "len", (int64_t)content->len);
        jsonw_string(body, "part", entry_part_name(content->part));
        jsonw_string(body, "sha256", hex);
        jsonw_end_object(body);
    }
    jsonw_end_array(body);
}

static void
add_idx(struct writing *writing, const char *name)
{
    jsonw_int(&writing->body, name, writing->seal->place.idx);
}

static void
add_kind(struct writing *writing, const char *name)
{
    jsonw_string(&writing->body, name, entry_kind_name(writing->seal->kind));
}

static void
add_log_id(struct writing *writing, const char *name)
{
    char text[UUID_TEXT_LEN];

    uuid_format(&writing->seal->place.log_id, text);
    jsonw_string(&writing->body, name, text);
}

static void
add_recorded_at(struct writing *writing, const char *name)
{
    char text[CLOCK_UTC_LEN];

    clock_format_utc(writing->seal->place.recorded_unix_us, text);
    jsonw_string(&writing->body, name, text);
}

static void
add_run_id(struct writing *writing, const char *name)
{
    const struct uuid *run_id = &writing->seal->run_id;
    char text[UUID_TEXT_LEN];

    uuid_format(run_id, text);
    jsonw_string(&writing->body, name, uuid_is_nil(run_id) ? NULL : text);
}

static void
add_v(struct writing *writing, const char *name)
{
    jsonw_int(&writing->body, name, ENTRY_FORMAT);
}

#define OWN_MEMBER(name, add) \
    { \
        { name, sizeof(name) - 1, false }, add \
    }

/* In the order of their names, as the members of the facts are. */
static const struct own_member {
    struct canon_text name;
    void (*add)(struct writing *writing, const char *name);
} own_members[] = {
    OWN_MEMBER("content", add_content),
    OWN_MEMBER("idx", add_idx),
    OWN_MEMBER("kind", add_kind),
    OWN_MEMBER("log_id", add_log_id),
    OWN_MEMBER("recorded_at", add_recorded_at),
    OWN_MEMBER("run_id", add_run_id),
    OWN_MEMBER("v", add_v),
};

/* ---- the body ---------------------------------------------------------- */

/* Adds of the scribe's members from *next on those that come before key, or
 * all that are left when it is NULL. */
static int
add_own_members(struct writing *writing, size_t *next,
                const struct canon_text *key, struct err *err)
{
    for (; *next < ARRAY_LEN(own_members); (*next)++) {
        const struct own_member *own = &own_members[*next];
        const int order = key == NULL ? -1 : canon_key_compare(&own->name, key);

        if (order == 0)
            return err_set(err, ERR_INVALID,
                           "the facts hold %s, which is the scribe's",
                           own->name.bytes);
        if (order > 0)
            break;
        own->add(writing, own->name.bytes);
    }
    return 0;
}

/* One walk over the facts checks them and copies them, member by member, to
 * where each belongs among the scribe's. */
static int
merge(struct writing *writing, const struct entry_record *record,
      struct err *err)
{
    struct canon_text key = { 0 };
    struct canon facts;
    size_t next = 0;

    canon_init(&facts, record->facts, record->facts_len);
    jsonw_object(&writing->body, NULL);
    canon_object(&facts);
    while (canon_next_key(&facts, &key)) {
        const char *member = key.bytes - 1; /* with its quote */
        struct canon_text value;

        if (add_own_members(writing, &next, &key, err) == -1)
            return -1;
        canon_raw(&facts, &value);
        jsonw_raw(&writing->body, NULL, member,
                  (size_t)(value.bytes + value.len - member));
    }
    canon_end(&facts);
    if (canon_failed(&facts))
        return err_set(err, ERR_INVALID,
                       "the facts are not one canonical JSON object");
    if (add_own_members(writing, &next, NULL, err) == -1)
        return -1;
    jsonw_end_object(&writing->body);
    return jsonw_failed(&writing->body) ? err_set(err, ERR_NOMEM, "entry") : 0;
}

static int
write_body(struct seal *seal, const struct entry_record *record,
           struct err *err)
{
    struct writing writing = { .seal = seal };

    if (record->facts_len > MAX_FACTS_BYTES)
        return err_set(err, ERR_LIMIT, "the facts are longer than %u bytes",
                       MAX_FACTS_BYTES);
    if (!utf8_is_clean(record->facts, record->facts_len))
        return err_set(err, ERR_INVALID, "the facts are not clean UTF-8");
    if (commit_to_all(seal, &writing, err) == -1)
        return -1;
    buf_shrink(&seal->body, KEEP_BODY_BYTES);
    jsonw_init(&writing.body, &seal->body);
    return merge(&writing, record, err);
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
    if (write_body(seal, record, err) == -1)
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
