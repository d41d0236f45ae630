/* dialect.c - see dialect.h: the table, and what the dialects share. */
#include "model/dialect.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "text/json.h"

#define MAX_KEY_BYTES 4096

const struct dialect *
dialect_of(enum model_provider provider)
{
    switch (provider) {
    case MODEL_VERTEX:
        return &dialect_vertex;
    case MODEL_GEMINI:
        return &dialect_gemini;
    case MODEL_OPENAI:
        break;
    }
    return &dialect_openai;
}

/* ---- what is sent ------------------------------------------------------- */

int
dialect_add_header(struct dialect_headers *headers, struct err *err,
                   const char *fmt, ...)
{
    char line[16384];
    const char *copy;
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(line, sizeof(line), fmt, args);
    va_end(args);
    if (len < 0 || (size_t)len >= sizeof(line) ||
        headers->count == DIALECT_MAX_HEADERS)
        return err_set(err, ERR_LIMIT, "request headers too long");
    copy = arena_strdup(headers->arena, line);
    if (copy == NULL)
        return err_set(err, ERR_NOMEM, "request headers");
    headers->lines[headers->count++] = copy;
    headers->lines[headers->count] = NULL;
    return 0;
}

int
dialect_body_error(const struct jsonw *writer, struct err *err)
{
    if (jsonw_failed(writer))
        return err_set(err, ERR_NOMEM, "no room for the request body");
    return 0;
}

int
dialect_append_base(struct buf *out, const char *base_url,
                    const char *otherwise, struct err *err)
{
    const char *base = str_or(base_url, otherwise);
    size_t len = strlen(base);

    while (len > 0 && base[len - 1] == '/')
        len--;
    return buf_error(out, buf_append(out, base, len), "URL", err);
}

/* ---- what is checked ---------------------------------------------------- */

int
dialect_check_base_url(const char *base_url, struct err *err)
{
    const char *host;

    if (base_url[0] == '\0')
        return 0;
    if (str_starts_with(base_url, "https://"))
        host = base_url + strlen("https://");
    else if (str_starts_with(base_url, "http://"))
        host = base_url + strlen("http://");
    else
        return err_set(err, ERR_INVALID,
                       "base URL does not begin with http:// or https://");
    if (host[0] == '\0' || host[0] == '/' || host[0] == ':')
        return err_set(err, ERR_INVALID, "base URL without a host");
    if (!str_is_visible(base_url) || strpbrk(base_url, "@?#\\") != NULL)
        return err_set(err, ERR_INVALID,
                       "base URL with a user, a query, a fragment or "
                       "characters that do not belong in one");
    return 0;
}

int
dialect_check_key(const char *key, struct err *err)
{
    if (!str_is_visible(key))
        return err_set(err, ERR_INVALID,
                       "API key with a blank or a character beyond ASCII");
    if (strlen(key) > MAX_KEY_BYTES)
        return err_set(err, ERR_INVALID, "API key too long");
    return 0;
}

/* ---- what is read ------------------------------------------------------- */

const char *
dialect_bare_model(const char *model)
{
    static const char *const prefixes[] = { "publishers/google/models/",
                                            "models/", "google/" };

    for (size_t i = 0; i < ARRAY_LEN(prefixes); i++)
        if (str_starts_with(model, prefixes[i]))
            return model + strlen(prefixes[i]);
    return model;
}

/* What may follow an id without making it another model: nothing, or a version,
 * a date, a tag.  "-lite" is another model. */
static bool
is_edition(const char *rest)
{
    static const char *const words[] = { "preview", "exp", "latest" };

    if (rest[0] == '\0')
        return true;
    if (strchr("-@:", rest[0]) == NULL)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strncasecmp(rest + 1, words[i], strlen(words[i])) == 0)
            return true;
    return isdigit((unsigned char)rest[1]);
}

static bool
begins_with_word(const char *text, const char *word, size_t len)
{
    return strncasecmp(text, word, len) == 0 &&
           (text[len] == '\0' || text[len] == '-');
}

/* gemini-flash-latest may stand for any gemini-...-flash: each word of the
 * first len bytes must be there, in this order. */
static bool
alias_covers(const char *alias, size_t len, const char *served)
{
    const char *const end = alias + len;

    while (alias < end) {
        const size_t word = strcspn(alias, "-");

        while (!begins_with_word(served, alias, word)) {
            served += strcspn(served, "-");
            if (*served == '\0')
                return false;
            served++;
        }
        served += word;
        alias += word + 1;
        if (alias < end && *served == '-')
            served++;
    }
    return is_edition(served);
}

/* Of an id without a version or tag such as -001, @default or :free. */
static size_t
unversioned_len(const char *id)
{
    const size_t len = strcspn(id, "@:");
    const bool has_version = len > 4 && id[len - 4] == '-' &&
                             strspn(id + len - 3, "0123456789") == 3;

    return has_version && id[len] == '\0' ? len - 4 : len;
}

bool
dialect_is_rerouted(const char *asked, const char *served)
{
    static const char alias[] = "-latest";
    size_t len;

    asked = dialect_bare_model(asked);
    served = dialect_bare_model(served);
    len = strlen(asked);
    if (strncasecmp(asked, served, len) == 0 && is_edition(served + len))
        return false;
    if (len > strlen(alias) && strcmp(asked + len - strlen(alias), alias) == 0)
        return !alias_covers(asked, len - strlen(alias), served);
    len = unversioned_len(asked);
    return strncasecmp(asked, served, len) != 0 || served[len] != '\0';
}

bool
dialect_mentions(const json_t *text, const char *phrase)
{
    const char *string = json_string_value(text);

    return string != NULL && strcasestr(string, phrase) != NULL;
}

long
dialect_status_code(const json_t *code)
{
    int64_t value = -1;

    reply_count(&value, code);
    return value >= 100 && value <= 599 ? (long)value : -1;
}
