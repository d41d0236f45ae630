/* uuid.c - see uuid.h. */
#include "base/uuid.h"

#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/str.h"

int
uuid_v7_new(struct uuid *uuid, struct err *err)
{
    const uint64_t unix_ms = (uint64_t)clock_unix_us() / 1000;

    if (getrandom(uuid->bytes, sizeof(uuid->bytes), 0) !=
        (ssize_t)sizeof(uuid->bytes))
        return err_set_errno(err, ERR_SYSTEM, "getrandom");
    for (int i = 0; i < 6; i++)
        uuid->bytes[i] = (uint8_t)(unix_ms >> (40 - 8 * i));
    uuid->bytes[6] = (uint8_t)(0x70 | (uuid->bytes[6] & 0x0f));
    uuid->bytes[8] = (uint8_t)(0x80 | (uuid->bytes[8] & 0x3f));
    return 0;
}

void
uuid_format(const struct uuid *uuid, char text[UUID_TEXT_LEN])
{
    static const int group_bytes[] = { 4, 2, 2, 2, 6 };
    const uint8_t *bytes = uuid->bytes;

    for (size_t i = 0; i < ARRAY_LEN(group_bytes); i++) {
        if (i > 0)
            *text++ = '-';
        str_to_hex(bytes, (size_t)group_bytes[i], text);
        bytes += group_bytes[i];
        text += 2 * group_bytes[i];
    }
}

int
uuid_parse(const char *text, struct uuid *uuid)
{
    char hex[33];
    size_t len = 0;

    if (strlen(text) != UUID_TEXT_LEN - 1)
        return -1;
    for (int i = 0; i < UUID_TEXT_LEN - 1; i++) {
        const int dash = i == 8 || i == 13 || i == 18 || i == 23;

        if (dash != (text[i] == '-'))
            return -1;
        if (!dash)
            hex[len++] = text[i];
    }
    hex[len] = '\0';
    return str_from_hex(hex, uuid->bytes, sizeof(uuid->bytes));
}

bool
uuid_equals(const struct uuid *one, const struct uuid *other)
{
    return memcmp(one, other, sizeof(*one)) == 0;
}

bool
uuid_is_nil(const struct uuid *uuid)
{
    static const struct uuid nil = { { 0 } };

    return uuid_equals(uuid, &nil);
}
