/* prom.c - see prom.h. */
#include "text/prom.h"

#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NUMBER_LEN 64
#define EXACT      9007199254740992.0 /* 2^53: up to here integers are exact */

/* ---- numbers ------------------------------------------------------------- */

/* A host program may have chosen a locale that writes 1,5. */
static void
use_a_point(char *text)
{
    const char *theirs = localeconv()->decimal_point;
    const size_t len = strlen(theirs);
    char *found = strstr(text, theirs);

    if (found == NULL || strcmp(theirs, ".") == 0)
        return;
    *found = '.';
    memmove(found + 1, found + len, strlen(found + len) + 1);
}

/* The shortest text that reads back as the same number. */
static void
format_number(double value, char text[NUMBER_LEN])
{
    if (isnan(value)) {
        snprintf(text, NUMBER_LEN, "NaN");
    } else if (isinf(value)) {
        snprintf(text, NUMBER_LEN, value > 0 ? "+Inf" : "-Inf");
    } else if (fabs(value) <= EXACT && (double)(int64_t)value == value) {
        snprintf(text, NUMBER_LEN, "%" PRId64, (int64_t)value);
    } else {
        for (int digits = 15; digits <= 17; digits++) {
            snprintf(text, NUMBER_LEN, "%.*g", digits, value);
            if (strtod(text, NULL) == value)
                break;
        }
        use_a_point(text);
    }
}

/* ---- lines --------------------------------------------------------------- */

/* With a backslash before each backslash, an LF as \n. */
static enum buf_status
append_help(struct buf *out, const char *text)
{
    enum buf_status status = BUF_OK;

    while (*text != '\0' && status == BUF_OK) {
        const size_t plain = strcspn(text, "\\\n");

        status = buf_append(out, text, plain);
        text += plain;
        if (*text == '\0' || status != BUF_OK)
            break;
        status = buf_printf(out, "\\%c", *text == '\n' ? 'n' : *text);
        text++;
    }
    return status;
}

enum buf_status
prom_family(struct buf *out, const char *name, const char *type,
            const char *help)
{
    const size_t before = out->len;
    enum buf_status status = buf_printf(out, "# HELP %s ", name);

    if (status == BUF_OK)
        status = append_help(out, help);
    if (status == BUF_OK)
        status = buf_printf(out, "\n# TYPE %s %s\n", name, type);
    if (status != BUF_OK)
        buf_truncate(out, before);
    return status;
}

enum buf_status
prom_sample(struct buf *out, const char *name, const char *suffix,
            const char *labels, double value)
{
    char number[NUMBER_LEN];

    format_number(value, number);
    if (labels == NULL || labels[0] == '\0')
        return buf_printf(out, "%s%s %s\n", name, suffix, number);
    return buf_printf(out, "%s%s{%s} %s\n", name, suffix, labels, number);
}

enum buf_status
prom_bucket(struct buf *out, const char *name, const char *labels, double bound,
            uint64_t cumulative)
{
    const bool is_labelled = labels != NULL && labels[0] != '\0';
    char number[NUMBER_LEN];

    format_number(bound, number);
    return buf_printf(out, "%s_bucket{%s%sle=\"%s\"} %" PRIu64 "\n", name,
                      is_labelled ? labels : "", is_labelled ? "," : "", number,
                      cumulative);
}
