/* conf.c - see conf.h. */
#include "text/conf.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "text/utf8.h"

#define BLANKS         " \t\r\n"
#define LINE_MAX_BYTES 16384
#define NAME_MAX_BYTES 64
#define SHOWN_BYTES    60 /* of a wrong value, in a message */
#define REASON_BYTES   1024

/* ---- reading one value --------------------------------------------------- */

static bool
is_printable(const char *text)
{
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < ' ' || *c == '\x7f')
            return false;
    return utf8_is_clean(text, strlen(text));
}

/* False for text that no way of quoting would bring through a file. */
static bool
is_quotable(const char *text)
{
    const size_t len = strlen(text);

    if (strchr(text, '\'') == NULL || strchr(text, '"') == NULL)
        return true;
    return strchr("\"' ", text[0]) == NULL && text[len - 1] != ' ';
}

static int
refuse(const struct conf_option *option, const char *text, const char *why,
       struct err *err)
{
    const size_t len = strlen(text);

    if (option->type == CONF_SECRET)
        return err_set(err, ERR_INVALID, "%s=%s: %s", option->name, CONF_HIDDEN,
                       why);
    if (!is_printable(text))
        return err_set(err, ERR_INVALID, "%s: %s", option->name, why);
    if (len <= SHOWN_BYTES)
        return err_set(err, ERR_INVALID, "%s=%s: %s", option->name, text, why);
    return err_set(err, ERR_INVALID, "%s=%.*s...: %s", option->name,
                   (int)utf8_cut(text, SHOWN_BYTES), text, why);
}

static int
refuse_by_bounds(const struct conf_option *option, const char *text,
                 struct err *err)
{
    struct buf why;

    buf_init(&why, REASON_BYTES);
    if (buf_append_str(&why, "must be ") == BUF_OK &&
        conf_append_bounds(&why, option) == BUF_OK)
        refuse(option, text, buf_cstr(&why), err);
    else
        err_set(err, ERR_NOMEM, "%s", option->name);
    buf_close(&why);
    return -1;
}

static int
set_text(const struct conf_option *option, const char *text, const char **slot,
         struct arena *arena, struct err *err)
{
    const int64_t len = (int64_t)strlen(text);
    const char *copy;

    if (!is_printable(text))
        return refuse(option, text, "must be UTF-8 without control characters",
                      err);
    if (!is_quotable(text))
        return refuse(option, text,
                      "must not hold both quotes and begin with one, or begin "
                      "or end with a blank",
                      err);
    if (option->max > 0 && (len < option->min || len > option->max))
        return refuse_by_bounds(option, text, err);
    if (option->type == CONF_SECRET && strcmp(text, CONF_HIDDEN) == 0)
        return refuse(option, text,
                      "this is how a secret is shown: put the secret itself "
                      "here, or leave it empty",
                      err);
    copy = arena_strdup(arena, text);
    if (copy == NULL)
        return err_set(err, ERR_NOMEM, "%s", option->name);
    if (option->type == CONF_SECRET && *slot != NULL)
        explicit_bzero((void *)(uintptr_t)*slot, strlen(*slot));
    *slot = copy;
    return 0;
}

static int
choose(const char *const *choices, const char *text, int *index)
{
    for (int i = 0; choices[i] != NULL; i++) {
        if (str_equals_nocase(text, choices[i])) {
            *index = i;
            return 0;
        }
    }
    return -1;
}

static int
set_option(const struct conf_option *option, const char *text, void *values,
           struct arena *arena, struct err *err)
{
    void *slot = (char *)values + option->offset;
    int rc = -1;

    switch (option->type) {
    case CONF_STRING:
    case CONF_SECRET:
        return set_text(option, text, slot, arena, err);
    case CONF_INTEGER:
        rc = str_to_int(text, option->min, option->max, slot);
        break;
    case CONF_SECONDS:
        rc = str_to_ms(text, option->min, option->max, slot);
        break;
    case CONF_BOOLEAN:
        rc = str_to_bool(text, slot);
        break;
    case CONF_CHOICE:
        rc = choose(option->choices, text, slot);
        break;
    }
    return rc == 0 ? 0 : refuse_by_bounds(option, text, err);
}

int
conf_defaults(const struct conf_table *table, void *values, struct arena *arena,
              struct err *err)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct conf_option *option = &table->options[i];

        if (set_option(option, option->otherwise, values, arena, err) == -1) {
            err_prefix(err, "default");
            return -1;
        }
    }
    return 0;
}

/* ---- reading a file ------------------------------------------------------ */

struct reader {
    const struct conf_table *table;
    void *values;
    struct arena *arena;
    unsigned *set_in_line; /* one per option; 0: not yet */
    unsigned line;
};

static char *
trim(char *text)
{
    size_t len;

    text += strspn(text, BLANKS);
    len = strlen(text);
    while (len > 0 && strchr(BLANKS, text[len - 1]) != NULL)
        len--;
    text[len] = '\0';
    return text;
}

/* Only what is a name may be shown: a line without one may be a secret. */
static bool
is_name(const char *text)
{
    const size_t len = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");

    return len > 0 && len <= NAME_MAX_BYTES && text[len] == '\0';
}

/* The value without its quotes, or NULL when they do not match. */
static char *
unquote(char *value)
{
    const char quote = value[0];
    char *second;

    if (quote != '"' && quote != '\'')
        return value;
    second = strchr(value + 1, quote);
    if (second == NULL || second[1] != '\0')
        return NULL;
    *second = '\0';
    return value + 1;
}

static size_t
smallest(size_t a, size_t b, size_t c)
{
    const size_t least = a < b ? a : b;

    return least < c ? least : c;
}

/* Insertions, deletions and replacements that turn a into b (Levenshtein). */
static size_t
distance(const char *a, const char *b)
{
    size_t row[NAME_MAX_BYTES + 1];
    const size_t width = strlen(b);

    if (width > NAME_MAX_BYTES)
        return SIZE_MAX;
    for (size_t j = 0; j <= width; j++)
        row[j] = j;
    for (size_t i = 0; a[i] != '\0'; i++) {
        size_t diagonal = row[0];

        row[0] = i + 1;
        for (size_t j = 0; j < width; j++) {
            const size_t replaced = diagonal + (a[i] != b[j]);

            diagonal = row[j + 1];
            row[j + 1] = smallest(replaced, diagonal + 1, row[j] + 1);
        }
    }
    return row[width];
}

static int
refuse_unknown(const struct conf_table *table, const char *name,
               struct err *err)
{
    const char *nearest = NULL;
    size_t least = strlen(name) / 2;

    for (size_t i = 0; i < table->count; i++) {
        const size_t away = distance(name, table->options[i].name);

        if (away < least) {
            least = away;
            nearest = table->options[i].name;
        }
    }
    if (nearest == NULL)
        return err_set(err, ERR_INVALID, "%s: unknown option", name);
    return err_set(err, ERR_INVALID, "%s: unknown option; did you mean %s?",
                   name, nearest);
}

static int
set_by_name(struct reader *reader, const char *name, char *value,
            struct err *err)
{
    const struct conf_table *table = reader->table;
    size_t i = 0;

    while (i < table->count && strcmp(table->options[i].name, name) != 0)
        i++;
    if (i == table->count)
        return refuse_unknown(table, name, err);
    if (reader->set_in_line[i] != 0)
        return err_set(err, ERR_INVALID, "%s: already set in line %u", name,
                       reader->set_in_line[i]);
    reader->set_in_line[i] = reader->line;
    value = unquote(value);
    if (value == NULL)
        return err_set(err, ERR_INVALID, "%s: the quotes do not match", name);
    return set_option(&table->options[i], value, reader->values, reader->arena,
                      err);
}

static int
take_line(struct reader *reader, char *line, struct err *err)
{
    char *equals;
    char *name;

    line = trim(line);
    if (line[0] == '\0' || line[0] == '#')
        return 0;
    equals = strchr(line, '=');
    if (equals == NULL)
        return err_set(err, ERR_INVALID, "not KEY=value");
    *equals = '\0';
    name = trim(line);
    if (!is_name(name))
        return err_set(err, ERR_INVALID,
                       "not KEY=value with KEY in capitals, digits and _");
    return set_by_name(reader, name, trim(equals + 1), err);
}

static int
take_lines(struct reader *reader, FILE *file, char line[LINE_MAX_BYTES],
           struct err *err)
{
    while (fgets(line, LINE_MAX_BYTES, file) != NULL) {
        reader->line++;
        if (strchr(line, '\n') == NULL && !feof(file))
            return err_set(err, ERR_INVALID,
                           "a line of more than %d bytes, or a NUL in it",
                           LINE_MAX_BYTES - 2);
        if (take_line(reader, line, err) == -1)
            return -1;
    }
    if (ferror(file))
        return err_set_errno(err, ERR_SYSTEM, "cannot read on");
    return 0;
}

int
conf_read_file(const struct conf_table *table, const char *path, void *values,
               struct arena *arena, struct err *err)
{
    struct reader reader = { table, values, arena, NULL, 0 };
    char buffer[BUFSIZ];
    char line[LINE_MAX_BYTES];
    FILE *file;
    int rc;

    reader.set_in_line =
        arena_alloc(arena, table->count * sizeof(*reader.set_in_line));
    if (reader.set_in_line == NULL)
        return err_set(err, ERR_NOMEM, "%s", path);
    file = fopen(path, "re");
    if (file == NULL)
        return err_set_errno(err, ERR_SYSTEM, "cannot open %s", path);
    setvbuf(file, buffer, _IOFBF, sizeof(buffer));
    rc = take_lines(&reader, file, line, err);
    if (rc == -1)
        err_prefix(err, "%s:%u", path, reader.line);
    fclose(file);
    explicit_bzero(buffer, sizeof(buffer)); /* secrets went through both */
    explicit_bzero(line, sizeof(line));
    return rc;
}

/* ---- reading the environment --------------------------------------------- */

static const char *
find_variable(char **environment, const char *name)
{
    const size_t len = strlen(name);

    for (; *environment != NULL; environment++)
        if (strncmp(*environment, name, len) == 0 && (*environment)[len] == '=')
            return *environment + len + 1;
    return NULL;
}

int
conf_read_environment(const struct conf_table *table, char **environment,
                      void *values, struct arena *arena, struct err *err)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct conf_option *option = &table->options[i];
        const char *text = find_variable(environment, option->name);

        if (text != NULL &&
            set_option(option, text, values, arena, err) == -1) {
            err_prefix(err, "environment");
            return -1;
        }
    }
    return 0;
}

/* ---- comparing ----------------------------------------------------------- */

static bool
is_same(const struct conf_option *option, const void *a, const void *b)
{
    switch (option->type) {
    case CONF_STRING:
    case CONF_SECRET:
        return strcmp(*(const char *const *)a, *(const char *const *)b) == 0;
    case CONF_INTEGER:
    case CONF_SECONDS:
        return *(const int64_t *)a == *(const int64_t *)b;
    case CONF_BOOLEAN:
        return *(const bool *)a == *(const bool *)b;
    case CONF_CHOICE:
        break;
    }
    return *(const int *)a == *(const int *)b;
}

const struct conf_option *
conf_first_frozen_change(const struct conf_table *table, const void *old_values,
                         const void *new_values)
{
    for (size_t i = 0; i < table->count; i++) {
        const struct conf_option *option = &table->options[i];

        if ((option->flags & CONF_NEEDS_RESTART) != 0 &&
            !is_same(option, (const char *)old_values + option->offset,
                     (const char *)new_values + option->offset))
            return option;
    }
    return NULL;
}
