/* str.c - see str.h. */
#include "base/str.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

int
str_to_int(const char *text, int64_t min, int64_t max, int64_t *value)
{
    const char *digits = text[0] == '-' ? text + 1 : text;
    char *end;
    long long parsed;

    if (!isdigit((unsigned char)digits[0]))
        return -1;
    errno = 0;
    parsed = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || parsed < min || parsed > max)
        return -1;
    *value = parsed;
    return 0;
}

size_t
str_from_int(int64_t value, char text[STR_INT_SIZE])
{
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    char *end = text + STR_INT_SIZE - 1;
    char *at = end;

    do
        *--at = (char)('0' + left % 10);
    while ((left /= 10) > 0);
    if (value < 0)
        *--at = '-';
    memmove(text, at, (size_t)(end - at));
    text[end - at] = '\0';
    return (size_t)(end - at);
}

int
str_to_ms(const char *text, int64_t min_ms, int64_t max_ms, int64_t *value_ms)
{
    int64_t ms = 0;
    int64_t weight = 100;
    bool rest = false;

    if (!isdigit((unsigned char)*text))
        return -1;
    for (; isdigit((unsigned char)*text); text++) {
        ms = ms * 10 + (*text - '0');
        if (ms > INT64_MAX / 100000)
            return -1;
    }
    ms *= 1000;
    if (*text == '.') {
        text++;
        if (!isdigit((unsigned char)*text))
            return -1;
        for (; isdigit((unsigned char)*text); text++) {
            ms += (*text - '0') * weight;
            rest = rest || (weight == 0 && *text != '0');
            weight /= 10;
        }
    }
    if (rest)
        ms++;
    if (*text != '\0' || ms < min_ms || ms > max_ms)
        return -1;
    *value_ms = ms;
    return 0;
}

int
str_to_unix_s(const char *text, int64_t *unix_s)
{
    struct tm tm = { 0 };
    const char *end = strptime(text, " %a, %d %b %Y %H:%M:%S GMT ", &tm);

    if (end == NULL || *end != '\0')
        return -1;
    *unix_s = (int64_t)timegm(&tm);
    return 0;
}

int
str_to_bool(const char *text, bool *value)
{
    static const char *const yes[] = { "true", "yes", "on", "1" };
    static const char *const no[] = { "false", "no", "off", "0" };

    for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
        if (strcasecmp(text, yes[i]) == 0) {
            *value = true;
            return 0;
        }
        if (strcasecmp(text, no[i]) == 0) {
            *value = false;
            return 0;
        }
    }
    return -1;
}

const char *
str_or(const char *text, const char *otherwise)
{
    return text[0] != '\0' ? text : otherwise;
}

bool
str_starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

bool
str_equals_nocase(const char *a, const char *b)
{
    return strcasecmp(a, b) == 0;
}

bool
str_is_visible(const char *text)
{
    while (*text > ' ' && *text <= '~')
        text++;
    return *text == '\0';
}

void
str_to_hex(const void *bytes, size_t len, char *hex)
{
    static const char digits[] = "0123456789abcdef";
    const unsigned char *in = bytes;

    for (size_t i = 0; i < len; i++) {
        *hex++ = digits[in[i] >> 4];
        *hex++ = digits[in[i] & 15];
    }
    *hex = '\0';
}

int
str_hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int
str_from_hex(const char *hex, void *bytes, size_t len)
{
    unsigned char *out = bytes;

    if (strlen(hex) != 2 * len)
        return -1;
    for (size_t i = 0; i < len; i++) {
        const int high = str_hex_digit(hex[2 * i]);
        const int low = str_hex_digit(hex[2 * i + 1]);

        if (high < 0 || low < 0)
            return -1;
        out[i] = (unsigned char)(high << 4 | low);
    }
    return 0;
}

bool
str_equals_secret(const void *a, const void *b, size_t len)
{
    const volatile unsigned char *left = a;
    const volatile unsigned char *right = b;
    unsigned char difference = 0;

    for (size_t i = 0; i < len; i++)
        difference |= (unsigned char)(left[i] ^ right[i]);
    return difference == 0;
}
