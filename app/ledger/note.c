/* note.c - see note.h. */
#include "ledger/note.h"

#include <assert.h>
#include <string.h>

#include "base/str.h"
#include "text/utf8.h"

#define DASH           "\xe2\x80\x94 "
#define DASH_LEN       (sizeof(DASH) - 1)
#define ED25519_TYPE   0x01
#define KEY_ID_HEX_LEN ((size_t)(2 * NOTE_KEY_ID_LEN))
#define SIGNATURE_LEN  (NOTE_KEY_ID_LEN + ED25519_SIGNATURE_LEN)

/* ---- keys -------------------------------------------------------------- */

bool
note_name_is_valid(const char *name)
{
    const size_t len = strlen(name);

    if (len == 0 || len >= NOTE_NAME_LEN || !utf8_is_clean(name, len))
        return false;
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] <= ' ' || name[i] == '+' || name[i] == 0x7f)
            return false;
    /* Blanks beyond ASCII: U+0085, U+00A0, U+1680, U+2000 and following,
     * U+3000. */
    return strstr(name, "\xc2\x85") == NULL &&
           strstr(name, "\xc2\xa0") == NULL &&
           strstr(name, "\xe1\x9a\x80") == NULL &&
           strstr(name, "\xe2\x80") == NULL &&
           strstr(name, "\xe2\x81\x9f") == NULL &&
           strstr(name, "\xe3\x80\x80") == NULL;
}

int
note_key_make(struct note_key *key, const char *name,
              const uint8_t public[ED25519_PUBLIC_LEN], struct err *err)
{
    static const uint8_t between[] = { '\n', ED25519_TYPE };
    const struct crypto_part parts[] = { { name, strlen(name) },
                                         { between, sizeof(between) },
                                         { public, ED25519_PUBLIC_LEN } };
    uint8_t digest[SHA256_LEN];

    if (!note_name_is_valid(name))
        return err_set(err, ERR_INVALID,
                       "the name of a key is 1 to %d bytes without blanks and "
                       "plus signs",
                       NOTE_NAME_LEN - 1);
    if (crypto_sha256(parts, ARRAY_LEN(parts), digest, err) == -1)
        return -1;
    memcpy(key->name, name, strlen(name) + 1);
    memcpy(key->id, digest, NOTE_KEY_ID_LEN);
    memcpy(key->public, public, ED25519_PUBLIC_LEN);
    return 0;
}

/* The bytes after the last plus. */
static int
parse_public(const char *text, uint8_t public[ED25519_PUBLIC_LEN],
             struct err *err)
{
    struct buf bytes;
    int result = -1;

    buf_init(&bytes, 2 * ED25519_PUBLIC_LEN);
    if (crypto_append_unbase64(&bytes, text, strlen(text), NULL) == 0 &&
        bytes.len == ED25519_PUBLIC_LEN + 1 && bytes.bytes[0] == ED25519_TYPE) {
        memcpy(public, bytes.bytes + 1, ED25519_PUBLIC_LEN);
        result = 0;
    } else {
        err_set(err, ERR_INVALID, "the verifier key is not for Ed25519");
    }
    buf_close(&bytes);
    return result;
}

int
note_key_parse(struct note_key *key, const char *text, struct err *err)
{
    const char *plus = strchr(text, '+');
    uint8_t public[ED25519_PUBLIC_LEN], id[NOTE_KEY_ID_LEN];
    char name[NOTE_NAME_LEN], hex[2 * NOTE_KEY_ID_LEN + 1];

    if (plus == NULL || (size_t)(plus - text) >= sizeof(name) ||
        strlen(plus) < KEY_ID_HEX_LEN + 2 || plus[KEY_ID_HEX_LEN + 1] != '+')
        return err_set(err, ERR_INVALID,
                       "a verifier key looks like NAME+8 hex digits+base64");
    memcpy(name, text, (size_t)(plus - text));
    name[plus - text] = '\0';
    memcpy(hex, plus + 1, KEY_ID_HEX_LEN);
    hex[KEY_ID_HEX_LEN] = '\0';
    if (parse_public(plus + KEY_ID_HEX_LEN + 2, public, err) == -1 ||
        note_key_make(key, name, public, err) == -1)
        return -1;
    if (str_from_hex(hex, id, sizeof(id)) == -1 ||
        memcmp(id, key->id, sizeof(id)) != 0)
        return err_set(err, ERR_INVALID,
                       "the verifier key is damaged: its digits do not fit "
                       "its name and key");
    return 0;
}

enum buf_status
note_key_append(const struct note_key *key, struct buf *out)
{
    uint8_t typed[1 + ED25519_PUBLIC_LEN] = { ED25519_TYPE };
    char hex[2 * NOTE_KEY_ID_LEN + 1];
    enum buf_status status;

    str_to_hex(key->id, NOTE_KEY_ID_LEN, hex);
    memcpy(typed + 1, key->public, ED25519_PUBLIC_LEN);
    status = buf_printf(out, "%s+%s+", key->name, hex);
    return status == BUF_OK ? crypto_append_base64(out, typed, sizeof(typed))
                            : status;
}

/* ---- signing ----------------------------------------------------------- */

int
note_sign(struct buf *out, const char *text,
          const struct crypto_key *private_key, const struct note_key *key,
          struct err *err)
{
    const size_t len = strlen(text);
    uint8_t signature[SIGNATURE_LEN];
    enum buf_status status;

    assert(len > 0 && text[len - 1] == '\n');
    memcpy(signature, key->id, NOTE_KEY_ID_LEN);
    if (crypto_ed25519_sign(private_key, text, len, signature + NOTE_KEY_ID_LEN,
                            err) == -1)
        return -1;
    status = buf_printf(out, "%s\n" DASH "%s ", text, key->name);
    if (status == BUF_OK)
        status = crypto_append_base64(out, signature, sizeof(signature));
    if (status == BUF_OK)
        status = buf_append_str(out, "\n");
    return status == BUF_OK ? 0 : err_set(err, ERR_NOMEM, "signed note");
}

/* ---- checking ---------------------------------------------------------- */

static bool
has_controls(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)bytes[i] < ' ' && bytes[i] != '\n')
            return true;
    return false;
}

int
note_split(struct note *note, const char *bytes, size_t len, struct err *err)
{
    size_t at = len;

    if (len > NOTE_MAX_BYTES || len == 0 || bytes[len - 1] != '\n' ||
        !utf8_is_clean(bytes, len) || has_controls(bytes, len))
        return err_set(err, ERR_INVALID, "this is no signed note");
    while (at >= 2 && (bytes[at - 1] != '\n' || bytes[at - 2] != '\n'))
        at--;
    if (at < 3 || len - at < DASH_LEN ||
        memcmp(bytes + at, DASH, DASH_LEN) != 0)
        return err_set(err, ERR_INVALID, "the note is not signed");
    note->text = bytes;
    note->text_len = at - 1;
    note->signatures = bytes + at;
    note->signatures_len = len - at;
    return 0;
}

/* One line, without its newline, taken apart. */
struct signature_line {
    const char *name;
    size_t name_len;
    uint8_t id[NOTE_KEY_ID_LEN];
    uint8_t signature[ED25519_SIGNATURE_LEN];
};

/* False for what no Ed25519 key has signed. */
static bool
read_line(struct signature_line *line, const char *text, size_t len)
{
    const char *blank;
    struct buf bytes;
    bool ok;

    if (len < DASH_LEN || memcmp(text, DASH, DASH_LEN) != 0)
        return false;
    line->name = text + DASH_LEN;
    blank = memchr(line->name, ' ', len - DASH_LEN);
    if (blank == NULL)
        return false;
    line->name_len = (size_t)(blank - line->name);
    buf_init(&bytes, NOTE_MAX_BYTES);
    ok = crypto_append_unbase64(&bytes, blank + 1,
                                (size_t)(text + len - blank - 1), NULL) == 0 &&
         bytes.len == SIGNATURE_LEN;
    if (ok) {
        memcpy(line->id, bytes.bytes, sizeof(line->id));
        memcpy(line->signature, bytes.bytes + sizeof(line->id),
               sizeof(line->signature));
    }
    buf_close(&bytes);
    return ok;
}

static const struct note_key *
key_of(const struct signature_line *line, const struct note_key *keys,
       size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strlen(keys[i].name) == line->name_len &&
            memcmp(keys[i].name, line->name, line->name_len) == 0 &&
            memcmp(keys[i].id, line->id, sizeof(line->id)) == 0)
            return &keys[i];
    return NULL;
}

int
note_check(const struct note *note, const struct note_key *keys,
           size_t key_count, enum note_verdict *verdict, struct err *err)
{
    const char *at = note->signatures;
    const char *end = at + note->signatures_len;

    *verdict = NOTE_UNKNOWN;
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        const struct note_key *key = NULL;
        struct signature_line line;
        bool valid;

        if (read_line(&line, at, (size_t)(line_end - at)))
            key = key_of(&line, keys, key_count);
        at = line_end + 1;
        if (key == NULL)
            continue;
        if (crypto_ed25519_verify(key->public, note->text, note->text_len,
                                  line.signature, &valid, err) == -1)
            return -1;
        *verdict = valid ? NOTE_SIGNED : NOTE_FORGED;
        if (!valid)
            return 0;
    }
    return 0;
}
