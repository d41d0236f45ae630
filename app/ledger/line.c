/* line.c - see line.h. */
#include "ledger/line.h"

#include <string.h>

#include "base/str.h"
#include "text/json.h"
#include "text/jsonw.h"

#define MAX_DEPTH 4

/* ---- writing ----------------------------------------------------------- */

static void
write_part(struct jsonw *json, const struct entry_content *content,
           const uint8_t salt[ENTRY_SALT_LEN])
{
    char hex[2 * ENTRY_SALT_LEN + 1];

    str_to_hex(salt, ENTRY_SALT_LEN, hex);
    jsonw_object(json, NULL);
    jsonw_string(json, "part", entry_part_name(content->part));
    jsonw_string(json, "salt", hex);
    jsonw_bytes(json, "body", content->len > 0 ? content->bytes : "",
                content->len);
    jsonw_end_object(json);
}

int
line_append(struct buf *out, const struct seal *entry, struct err *err)
{
    char hex[2 * ENTRY_HASH_LEN + 1];
    struct jsonw json;

    str_to_hex(entry->leaf_hash, ENTRY_HASH_LEN, hex);
    jsonw_init(&json, out);
    jsonw_object(&json, NULL);
    jsonw_bytes(&json, "body", entry->body.bytes, entry->body.len);
    jsonw_string(&json, "leaf_hash", hex);
    jsonw_array(&json, "content");
    for (size_t i = 0; i < entry->part_count; i++)
        write_part(&json, &entry->parts[i], entry->salts[i]);
    jsonw_end_array(&json);
    jsonw_end_object(&json);
    if (jsonw_failed(&json) || buf_append_str(out, "\n") != BUF_OK)
        return err_set(err, ERR_LIMIT, "no room for an entry of %zu bytes",
                       entry->body.len);
    return 0;
}

/* ---- reading ----------------------------------------------------------- */

void
line_init(struct line *line)
{
    seal_init(&line->seal);
    line->json = NULL;
}

void
line_close(struct line *line)
{
    seal_close(&line->seal);
    json_decref(line->json);
    line->json = NULL;
}

/* What the body says of a part; NULL when it does not speak of it. */
static const struct column_part *
find_commitment(const struct columns *columns, const char *name)
{
    for (size_t i = 0; i < columns->part_count; i++)
        if (columns->parts[i].name_len == strlen(name) &&
            memcmp(columns->parts[i].name, name, strlen(name)) == 0)
            return &columns->parts[i];
    return NULL;
}

static int
check_commitment(const struct line *line, const struct entry_content *content,
                 const uint8_t salt[ENTRY_SALT_LEN], struct err *err)
{
    const char *name = entry_part_name(content->part);
    const struct column_part *said = find_commitment(&line->seal.columns, name);
    uint8_t hash[ENTRY_HASH_LEN];
    char hex[COLUMNS_HASH_HEX_LEN + 1];

    if (said == NULL)
        return err_set(err, ERR_INVALID, "the body does not speak of %s", name);
    if (seal_commitment(salt, content->bytes, content->len, hash, err) == -1)
        return -1;
    str_to_hex(hash, sizeof(hash), hex);
    if (memcmp(hex, said->sha256, COLUMNS_HASH_HEX_LEN) != 0)
        return err_set(err, ERR_INVALID,
                       "the text of %s is not the one the body commits to",
                       name);
    return 0;
}

static int
read_part(struct line *line, const json_t *object, struct err *err)
{
    struct seal *seal = &line->seal;
    struct entry_content *content = &line->parts[seal->part_count];
    uint8_t *salt = seal->salts[seal->part_count];
    const json_t *body = json_object_get(object, "body");
    const char *hex = json_get_string(object, "salt");
    const char *name = json_get_string(object, "part");

    if (name == NULL ||
        entry_part_parse(name, strlen(name), &content->part) == -1 ||
        hex == NULL || str_from_hex(hex, salt, ENTRY_SALT_LEN) == -1 ||
        !json_is_string(body))
        return err_set(err, ERR_INVALID,
                       "content is not a list of part, salt, body");
    for (size_t i = 0; i < seal->part_count; i++)
        if (line->parts[i].part == content->part)
            return err_set(err, ERR_INVALID, "content has %s twice",
                           entry_part_name(content->part));
    content->bytes = json_string_value(body);
    content->len = json_string_length(body);
    content->cleaned = false; /* the body says it */
    if (check_commitment(line, content, salt, err) == -1)
        return -1;
    seal->part_count++;
    return 0;
}

static int
read_entry(struct line *line, struct err *err)
{
    const json_t *body = json_object_get(line->json, "body");
    const char *leaf = json_get_string(line->json, "leaf_hash");
    uint8_t said[ENTRY_HASH_LEN];

    if (!json_is_string(body) || leaf == NULL ||
        str_from_hex(leaf, said, sizeof(said)) == -1)
        return err_set(err, ERR_INVALID, "the line lacks body or leaf_hash");
    if (seal_restore(&line->seal, json_string_value(body),
                     json_string_length(body), err) == -1)
        return -1;
    if (memcmp(said, line->seal.leaf_hash, sizeof(said)) != 0)
        return err_set(err, ERR_INVALID, "leaf_hash is not the body's");
    return 0;
}

int
line_read(struct line *line, const char *bytes, size_t len, struct err *err)
{
    const json_t *content;

    json_decref(line->json);
    line->seal.parts = line->parts;
    line->seal.part_count = 0;
    line->json = json_parse(bytes, len, MAX_DEPTH, err);
    if (line->json == NULL || read_entry(line, err) == -1)
        return -1;
    content = json_object_get(line->json, "content");
    if (!json_is_array(content) || json_array_size(content) > ENTRY_MAX_PARTS)
        return err_set(err, ERR_INVALID, "content is not a short list");
    for (size_t i = 0; i < json_array_size(content); i++)
        if (read_part(line, json_array_get(content, i), err) == -1)
            return -1;
    return 0;
}
