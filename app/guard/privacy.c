/*
 * privacy.c - see privacy.h.
 *
 * Labelled finds (a word such as MRN or password in front) come before
 * unlabelled ones, so that a phone-like record number is called what it is.
 */
#include "guard/privacy.h"

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

static const char *const credential_names[] = {
    "password", "passwd",      "pwd",        "passphrase",    "secret",
    "token",    "api_key",     "apikey",     "api-key",       "access_token",
    "auth",     "credentials", "credential", "client_secret", "private_key",
};

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

static bool
names_a_credential(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(credential_names); i++)
        if (str_equals_nocase(name, credential_names[i]))
            return true;
    return false;
}

/* A string that stands for value, or value itself when nothing was found. */
static int
redact_string(struct privacy *privacy, json_t *value, const char *name,
              struct privacy_counts *counts, struct err *err)
{
    if (name != NULL && names_a_credential(name) &&
        json_string_length(value) > 0) {
        counts->of[PRIVACY_CREDENTIAL]++;
        if (json_string_set(value, "[CREDENTIAL]") == -1)
            return err_set(err, ERR_NOMEM, "redacted string");
        return 0;
    }
    if (privacy_redact_text(privacy, json_string_value(value),
                            json_string_length(value), &privacy->scratch,
                            counts, err) == -1)
        return -1;
    if (json_string_setn(value, buf_cstr(&privacy->scratch),
                         privacy->scratch.len) == -1)
        return err_set(err, ERR_NOMEM, "redacted string");
    return 0;
}

/* The parser has bounded the depth.  name is the member's, NULL in arrays. */
static int
redact_value(struct privacy *privacy, json_t *value, const char *name,
             struct privacy_counts *counts, struct err *err)
{
    const char *key;
    json_t *member;
    size_t i;

    if (json_is_string(value))
        return redact_string(privacy, value, name, counts, err);
    json_object_foreach(value, key, member)
    {
        if (redact_value(privacy, member, key, counts, err) == -1)
            return -1;
    }
    json_array_foreach(value, i, member)
    {
        if (redact_value(privacy, member, name, counts, err) == -1)
            return -1;
    }
    return 0;
}

int
privacy_redact_json(struct privacy *privacy, json_t *value,
                    struct privacy_counts *counts, struct err *err)
{
    return redact_value(privacy, value, NULL, counts, err);
}
