/* uri.c - see uri.h. */
#include "text/uri.h"

#include <stdbool.h>
#include <string.h>

#include "base/str.h"

/* Encoded text that is still to be read. */
struct encoded {
    const char *at;
    const char *end;
    bool plus_is_blank;
};

/* The next decoded byte, or -1 for a bad escape or one that means NUL. */
static int
next_byte(struct encoded *text)
{
    const char byte = *text->at++;
    int high, low;

    if (byte == '+' && text->plus_is_blank)
        return ' ';
    if (byte != '%')
        return (unsigned char)byte;
    if (text->end - text->at < 2)
        return -1;
    high = str_hex_digit(*text->at++);
    low = str_hex_digit(*text->at++);
    if (high == -1 || low == -1 || (high == 0 && low == 0))
        return -1;
    return high << 4 | low;
}

static const char *
decode(struct encoded text, struct arena *arena)
{
    char *decoded = arena_alloc(arena, (size_t)(text.end - text.at) + 1);
    size_t len = 0;

    if (decoded == NULL)
        return NULL;
    while (text.at < text.end) {
        const int byte = next_byte(&text);

        if (byte == -1)
            return NULL;
        decoded[len++] = (char)byte;
    }
    return decoded;
}

static bool
means(struct encoded text, const char *plain)
{
    while (text.at < text.end) {
        const int byte = next_byte(&text);

        if (byte == -1 || byte != (unsigned char)*plain++)
            return false;
    }
    return *plain == '\0';
}

const char *
uri_query_get(const char *query, const char *name, struct arena *arena)
{
    while (query != NULL && *query != '\0') {
        const size_t len = strcspn(query, "&");
        const char *equals = memchr(query, '=', len);
        const char *end = query + len;
        const struct encoded key = { query, equals != NULL ? equals : end,
                                     true };

        if (means(key, name))
            return decode((struct encoded){ equals != NULL ? equals + 1 : end,
                                            end, true },
                          arena);
        query = *end == '&' ? end + 1 : end;
    }
    return NULL;
}

const char *
uri_path(const char *target, struct arena *arena)
{
    const struct encoded path = { target, target + strcspn(target, "?#"),
                                  false };

    return target[0] == '/' ? decode(path, arena) : NULL;
}
