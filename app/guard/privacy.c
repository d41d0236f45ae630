/*
 * privacy.c - see privacy.h.
 *
 * Labelled finds (a word such as MRN or password in front) come before
 * unlabelled ones, so that a phone-like record number is called what it is.
 */
#include "guard/privacy.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "text/redact.h"

#define TEXT_MAX_BYTES ((size_t)32 * 1024 * 1024)

struct privacy_rule {
    enum privacy_kind kind;
    struct redact_rule rule;
};

/* clang-format off */
static const struct privacy_rule rules[] = {
    /* password=..., api key: "..." - the value up to a blank or its quote */
    { PRIVACY_CREDENTIAL,
      { "credential",
        "(?i)\\b(?:pass(?:word|wd|phrase)?|pwd|secret|token|credentials?|"
        "api[ _-]?key|access[ _-]?key|private[ _-]?key|client[ _-]?secret)"
        "[\"']?\\s{0,3}[:=]\\s{0,3}"
        "(?<v>\"[^\"\\r\\n]{1,512}\"|'[^'\\r\\n]{1,512}'|[^\\s\"',;]{3,512})",
        "[CREDENTIAL]" } },
    /* my password is ... - with a digit in it, or "the secret is out" goes */
    { PRIVACY_CREDENTIAL,
      { "credential",
        "(?i)\\b(?:pass(?:word|wd|phrase|code)?|pwd|pin|secret|token|"
        "api[ _-]?key) is:?\\s{1,3}"
        "(?<v>(?=[^\\s\\d]{0,64}\\d)[^\\s\"',;]{3,512})",
        "[CREDENTIAL]" } },
    /* Authorization: Bearer ... */
    { PRIVACY_CREDENTIAL,
      { "credential", "(?i)\\bbearer\\s{1,3}(?<v>[A-Za-z0-9._~+/=-]{8,4096})",
        "[CREDENTIAL]" } },
    /* https://user:password@host */
    { PRIVACY_CREDENTIAL,
      { "credential",
        "(?i)\\b[a-z][a-z0-9+.-]{1,20}://(?<v>[^\\s/@:]{1,128}:[^\\s/@]{1,256})@",
        "[CREDENTIAL]" } },
    { PRIVACY_EMAIL,
      { "email",
        "(?<![\\p{L}\\p{N}._%+-])[\\p{L}\\p{N}._%+-]{1,64}@"
        "(?:[\\p{L}\\p{N}](?:[\\p{L}\\p{N}-]{0,62})\\.){1,8}\\p{L}{2,24}"
        "(?![\\p{L}\\p{N}])",
        "[EMAIL]" } },
    { PRIVACY_MRN,
      { "mrn",
        "(?i)\\b(?:mrn|(?:medical |health |patient )?record "
        "(?:number|no\\.?|id)|patient (?:number|no\\.?|id))"
        "\\s{0,3}[:#=]?\\s{0,3}(?<v>(?=[A-Z-]{0,8}\\d)[A-Z0-9][A-Z0-9-]{3,19})\\b",
        "[MRN]" } },
    { PRIVACY_SSN,
      { "ssn",
        "(?i)\\b(?:ssn|social security (?:number|no\\.?))\\s{0,3}[:#=]?\\s{0,3}"
        "(?<v>\\d{3}[- ]?\\d{2}[- ]?\\d{4})(?!\\d)",
        "[SSN]" } },
    { PRIVACY_SSN,
      { "ssn",
        "(?<![\\d-])(?!000|666|9\\d\\d)\\d{3}-(?!00)\\d{2}-(?!0000)\\d{4}(?![\\d-])",
        "[SSN]" } },
    /* a labelled number of any length people write */
    { PRIVACY_PHONE,
      { "phone",
        "(?i)\\b(?:phone|tel(?:ephone)?|mobile|cell|fax|gsm)(?: (?:number|no))?"
        "\\.?\\s{0,3}[:#=]?\\s{0,3}(?<v>\\+?\\(?\\d(?:[ ().\\x{200b}/-]{0,3}\\d){5,14})"
        "(?!\\d)",
        "[PHONE]" } },
    /* international: +CC or 00CC, then 7 to 13 digits in groups */
    { PRIVACY_PHONE,
      { "phone",
        "(?<![\\w.+-])(?:\\+|00)[1-9](?:[ ().\\x{200b}-]{0,3}\\d){7,14}(?![\\w-])",
        "[PHONE]" } },
    /* national with trunk 0: 10 or 11 digits */
    { PRIVACY_PHONE,
      { "phone",
        "(?<![\\w.+-])0(?:[ ()\\x{200b}-]{0,3}\\d){9,10}(?![\\w-])",
        "[PHONE]" } },
    /* North American: (212) 555-0187, 212-555-0187, 1-212-555-0187 ext. 42 */
    { PRIVACY_PHONE,
      { "phone",
        "(?i)(?<![\\w.+-])(?:1[ .-])?(?:\\([2-9]\\d{2}\\) ?|[2-9]\\d{2}[ .-])"
        "[2-9]\\d{2}[ .-]\\d{4}(?: ?(?:ext|x)\\.? ?\\d{1,6})?(?![\\w-])",
        "[PHONE]" } },
};
/* clang-format on */

/* Members whose value is a credential whatever it looks like: names that hold
 * one of these, and names that are one of those. */
static const char *const credential_parts[] = {
    "password",   "passwd",     "passphrase",  "passcode",    "secret",
    "credential", "token",      "api_key",     "api-key",     "apikey",
    "access_key", "access-key", "private_key", "private-key",
};
static const char *const credential_names[] = { "pwd", "pin", "auth",
                                                "authorization" };

struct privacy {
    struct redactor *redactor;
    struct buf scratch;
};

struct privacy *
privacy_new(struct err *err)
{
    struct redact_rule plain[ARRAY_LEN(rules)];
    struct privacy *privacy = calloc(1, sizeof(*privacy));

    if (privacy == NULL) {
        err_set(err, ERR_NOMEM, "redaction");
        return NULL;
    }
    buf_init(&privacy->scratch, TEXT_MAX_BYTES);
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        plain[i] = rules[i].rule;
    privacy->redactor = redact_new(plain, ARRAY_LEN(plain), err);
    if (privacy->redactor == NULL) {
        privacy_free(privacy);
        return NULL;
    }
    return privacy;
}

void
privacy_free(struct privacy *privacy)
{
    if (privacy == NULL)
        return;
    redact_free(privacy->redactor);
    buf_close(&privacy->scratch);
    free(privacy);
}

int
privacy_redact_text(struct privacy *privacy, const char *text, size_t len,
                    struct buf *out, struct privacy_counts *counts,
                    struct err *err)
{
    size_t by_rule[ARRAY_LEN(rules)] = { 0 };

    if (redact_apply(privacy->redactor, text, len, out, by_rule, err) == -1)
        return -1;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++)
        counts->of[rules[i].kind] += by_rule[i];
    return 0;
}

/* ---- JSON ---------------------------------------------------------------- */

static bool
names_a_credential(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(credential_parts); i++)
        if (strcasestr(name, credential_parts[i]) != NULL)
            return true;
    for (size_t i = 0; i < ARRAY_LEN(credential_names); i++)
        if (str_equals_nocase(name, credential_names[i]))
            return true;
    return false;
}

static json_t *redact_value(struct privacy *privacy, const json_t *value,
                            const char *name, struct privacy_counts *counts,
                            struct err *err);

/* A new string, or NULL. */
static json_t *
string_of(const struct buf *text, size_t from, struct err *err)
{
    json_t *string = json_stringn(buf_cstr(text) + from, text->len - from);

    if (string == NULL)
        err_set(err, ERR_NOMEM, "redacted text");
    return string;
}

/* "name: text" as a whole, because a rule may need the name to know what the
 * text is.  Gives what came of the text in scratch, from *from on. */
static int
redact_member(struct privacy *privacy, const char *name, const char *text,
              size_t *from, struct privacy_counts *counts, struct err *err)
{
    struct buf labelled;
    int result = -1;

    buf_init(&labelled, TEXT_MAX_BYTES);
    if (buf_printf(&labelled, "%s: %s", name, text) != BUF_OK)
        err_set(err, ERR_NOMEM, "text to redact");
    else
        result = privacy_redact_text(privacy, labelled.bytes, labelled.len,
                                     &privacy->scratch, counts, err);
    buf_close(&labelled);
    if (result == -1)
        return -1;
    *from = strlen(name) + 2;
    if (privacy->scratch.len >= *from &&
        strncmp(privacy->scratch.bytes, name, *from - 2) == 0)
        return 0;
    /* A rule took some of the name too: what is left is all placeholder. */
    *from = 0;
    return 0;
}

static json_t *
redact_string(struct privacy *privacy, const json_t *value, const char *name,
              struct privacy_counts *counts, struct err *err)
{
    size_t from = 0;

    if (name != NULL) {
        if (redact_member(privacy, name, json_string_value(value), &from,
                          counts, err) == -1)
            return NULL;
    } else if (privacy_redact_text(privacy, json_string_value(value),
                                   json_string_length(value), &privacy->scratch,
                                   counts, err) == -1) {
        return NULL;
    }
    return string_of(&privacy->scratch, from, err);
}

/* A number stays one unless its digits mean somebody. */
static json_t *
redact_number(struct privacy *privacy, const json_t *value, const char *name,
              struct privacy_counts *counts, struct err *err)
{
    char text[64];
    size_t from;

    if (json_is_integer(value))
        snprintf(text, sizeof(text), "%" JSON_INTEGER_FORMAT,
                 json_integer_value(value));
    else
        snprintf(text, sizeof(text), "%.17g", json_real_value(value));
    if (redact_member(privacy, name != NULL ? name : "", text, &from, counts,
                      err) == -1)
        return NULL;
    if (strcmp(buf_cstr(&privacy->scratch) + from, text) == 0)
        return json_deep_copy(value);
    return string_of(&privacy->scratch, from, err);
}

/* Names that differed may be the same without what was personal in them, and
 * each keeps its value.  Numbers only rise within an object, or many such names
 * would take long. */
static int
set_member(json_t *object, const char *name, size_t *number, json_t *value)
{
    const size_t size = strlen(name) + sizeof(" 18446744073709551615");
    char *free_name = malloc(size);
    int result;

    if (free_name == NULL) {
        json_decref(value);
        return -1;
    }
    snprintf(free_name, size, "%s", name);
    while (json_object_get(object, free_name) != NULL)
        snprintf(free_name, size, "%s %zu", name, ++*number);
    result = json_object_set_new(object, free_name, value);
    free(free_name);
    return result;
}

/* Names are text that callers write, too; a redacted one labels the value. */
static int
redact_pair(struct privacy *privacy, json_t *object, size_t *number, void *at,
            struct privacy_counts *counts, struct err *err)
{
    const char *name = json_object_iter_key(at);
    json_t *redacted;
    char *clean_name;
    int result;

    if (privacy_redact_text(privacy, name, strlen(name), &privacy->scratch,
                            counts, err) == -1)
        return -1;
    clean_name = strdup(buf_cstr(&privacy->scratch));
    if (clean_name == NULL)
        return err_set(err, ERR_NOMEM, "redacted name");
    redacted = redact_value(privacy, json_object_iter_value(at), clean_name,
                            counts, err);
    result = set_member(object, clean_name, number, redacted);
    if (result == -1)
        err_set(err, ERR_NOMEM, "redacted member");
    free(clean_name);
    return result;
}

static json_t *
redact_object(struct privacy *privacy, const json_t *value,
              struct privacy_counts *counts, struct err *err)
{
    json_t *object = json_object();
    void *at = json_object_iter((json_t *)(uintptr_t)value);
    size_t number = 1;

    if (object == NULL)
        err_set(err, ERR_NOMEM, "redacted object");
    for (; object != NULL && at != NULL;
         at = json_object_iter_next((json_t *)(uintptr_t)value, at)) {
        if (redact_pair(privacy, object, &number, at, counts, err) == 0)
            continue;
        json_decref(object);
        return NULL;
    }
    return object;
}

static json_t *
redact_array(struct privacy *privacy, const json_t *value, const char *name,
             struct privacy_counts *counts, struct err *err)
{
    json_t *array = json_array();

    if (array == NULL)
        err_set(err, ERR_NOMEM, "redacted array");
    for (size_t i = 0; array != NULL && i < json_array_size(value); i++) {
        json_t *item =
            redact_value(privacy, json_array_get(value, i), name, counts, err);

        if (item != NULL && json_array_append_new(array, item) == 0)
            continue;
        err_set(err, ERR_NOMEM, "redacted array");
        json_decref(array);
        return NULL;
    }
    return array;
}

/* The parser has bounded the depth.  name is the member's, NULL at the top. */
static json_t *
redact_value(struct privacy *privacy, const json_t *value, const char *name,
             struct privacy_counts *counts, struct err *err)
{
    if (name != NULL && names_a_credential(name) && !json_is_null(value) &&
        !json_is_boolean(value)) {
        counts->of[PRIVACY_CREDENTIAL]++;
        return json_string("[CREDENTIAL]");
    }
    if (json_is_object(value))
        return redact_object(privacy, value, counts, err);
    if (json_is_array(value))
        return redact_array(privacy, value, name, counts, err);
    if (json_is_string(value))
        return redact_string(privacy, value, name, counts, err);
    if (json_is_number(value))
        return redact_number(privacy, value, name, counts, err);
    return json_deep_copy(value);
}

json_t *
privacy_redact_json(struct privacy *privacy, const json_t *value,
                    struct privacy_counts *counts, struct err *err)
{
    return redact_value(privacy, value, NULL, counts, err);
}
