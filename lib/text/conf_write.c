/* conf_write.c - the half of conf.h that puts options into words. */
#include "text/conf.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#define COMMENT_COLUMNS 76

/* ---- bounds ------------------------------------------------------------- */

static enum buf_status
append_seconds(struct buf *out, int64_t ms)
{
    int fraction = (int)(ms % 1000);
    int digits = 3;

    if (fraction == 0)
        return buf_printf(out, "%" PRId64, ms / 1000);
    for (; fraction % 10 == 0; digits--)
        fraction /= 10;
    return buf_printf(out, "%" PRId64 ".%0*d", ms / 1000, digits, fraction);
}

static enum buf_status
append_choices(struct buf *out, const char *const *choices)
{
    enum buf_status status = buf_append_str(out, choices[0]);

    for (size_t i = 1; choices[i] != NULL && status == BUF_OK; i++)
        status = buf_printf(out, "%s%s", choices[i + 1] != NULL ? ", " : " or ",
                            choices[i]);
    return status;
}

static enum buf_status
append_seconds_range(struct buf *out, int64_t min_ms, int64_t max_ms)
{
    enum buf_status status = append_seconds(out, min_ms);

    if (status == BUF_OK)
        status = buf_append_str(out, " to ");
    if (status == BUF_OK)
        status = append_seconds(out, max_ms);
    if (status == BUF_OK)
        status = buf_append_str(out, " seconds");
    return status;
}

enum buf_status
conf_append_bounds(struct buf *out, const struct conf_option *option)
{
    switch (option->type) {
    case CONF_STRING:
    case CONF_SECRET:
        if (option->max == 0)
            return buf_append_str(out, "text");
        return buf_printf(out, "text of %" PRId64 " to %" PRId64 " bytes",
                          option->min, option->max);
    case CONF_INTEGER:
        return buf_printf(out, "a whole number from %" PRId64 " to %" PRId64,
                          option->min, option->max);
    case CONF_SECONDS:
        return append_seconds_range(out, option->min, option->max);
    case CONF_BOOLEAN:
        return buf_append_str(out, "true or false");
    case CONF_CHOICE:
        break;
    }
    return append_choices(out, option->choices);
}

/* ---- values -------------------------------------------------------------- */

/* Quotes where a blank, a quote or something dear to systemd or a shell stands
 * in the text. */
static enum buf_status
append_text(struct buf *out, const char *text)
{
    const char *quote = "";
    const char *c = text;

    while (isalnum((unsigned char)*c) || (unsigned char)*c >= 0x80 ||
           (*c != '\0' && strchr("_-./:,@+=%", *c) != NULL))
        c++;
    if (*c != '\0' && strchr(text, '\'') == NULL)
        quote = "'";
    else if (*c != '\0' && strchr(text, '"') == NULL)
        quote = "\"";
    return buf_printf(out, "%s%s%s", quote, text, quote);
}

static enum buf_status
append_value(struct buf *out, const struct conf_option *option,
             const void *values)
{
    const void *slot = (const char *)values + option->offset;
    const char *text;

    switch (option->type) {
    case CONF_STRING:
        return append_text(out, *(const char *const *)slot);
    case CONF_SECRET:
        text = *(const char *const *)slot;
        return buf_append_str(out, text[0] != '\0' ? CONF_HIDDEN : "");
    case CONF_INTEGER:
        return buf_printf(out, "%" PRId64, *(const int64_t *)slot);
    case CONF_SECONDS:
        return append_seconds(out, *(const int64_t *)slot);
    case CONF_BOOLEAN:
        return buf_append_str(out, *(const bool *)slot ? "true" : "false");
    case CONF_CHOICE:
        break;
    }
    return buf_append_str(out, option->choices[*(const int *)slot]);
}

/* Ends a text: nothing of it stays when a part of it could not be added. */
static int
settle(struct buf *out, size_t before, enum buf_status status, struct err *err)
{
    if (status != BUF_OK)
        buf_truncate(out, before);
    return buf_error(out, status, "text of the options", err);
}

int
conf_dump(const struct conf_table *table, const void *values, struct buf *out,
          struct err *err)
{
    const size_t before = out->len;
    enum buf_status status = BUF_OK;

    for (size_t i = 0; i < table->count && status == BUF_OK; i++) {
        const struct conf_option *option = &table->options[i];

        status = buf_printf(out, "%s=", option->name);
        if (status == BUF_OK)
            status = append_value(out, option, values);
        if (status == BUF_OK)
            status = buf_append_str(out, "\n");
    }
    return settle(out, before, status, err);
}

/* Breaks the text between words. */
static enum buf_status
append_comment(struct buf *out, const char *text)
{
    enum buf_status status = BUF_OK;

    while (*text != '\0' && status == BUF_OK) {
        size_t len = strlen(text);

        if (len > COMMENT_COLUMNS) {
            len = COMMENT_COLUMNS;
            while (len > 1 && text[len] != ' ')
                len--;
        }
        status = buf_printf(out, "# %.*s\n", (int)len, text);
        text += len;
        text += strspn(text, " ");
    }
    return status;
}

static enum buf_status
append_sample(struct buf *out, const struct conf_option *option)
{
    enum buf_status status = append_comment(out, option->help);

    if (status == BUF_OK)
        status = buf_append_str(out, "# Value: ");
    if (status == BUF_OK)
        status = conf_append_bounds(out, option);
    if (status == BUF_OK && (option->flags & CONF_NEEDS_RESTART) != 0)
        status = buf_append_str(out, "; a change needs a restart");
    if (status == BUF_OK)
        status = buf_printf(out, "\n#%s=", option->name);
    if (status == BUF_OK)
        status = append_text(out, option->otherwise);
    if (status == BUF_OK)
        status = buf_append_str(out, "\n");
    return status;
}

int
conf_sample(const struct conf_table *table, struct buf *out, struct err *err)
{
    const size_t before = out->len;
    enum buf_status status = BUF_OK;

    for (size_t i = 0; i < table->count && status == BUF_OK; i++) {
        if (i > 0)
            status = buf_append_str(out, "\n");
        if (status == BUF_OK)
            status = append_sample(out, &table->options[i]);
    }
    return settle(out, before, status, err);
}
