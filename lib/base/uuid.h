/*
 * uuid - identifiers that sort by time: UUID version 7 of RFC 9562.
 */
#ifndef BASE_UUID_H
#define BASE_UUID_H

#include <stdbool.h>
#include <stdint.h>

#include "base/attr.h"
#include "base/err.h"

#define UUID_TEXT_LEN 37 /* 36 characters and a NUL */

struct uuid {
    uint8_t bytes[16];
};

/* A new one from the wall clock and getrandom(2).  -1 on ERR_SYSTEM. */
int uuid_v7_new(struct uuid *uuid, struct err *err) ATTR_MUST_CHECK;

/* Lower-case canonical form. */
void uuid_format(const struct uuid *uuid, char text[UUID_TEXT_LEN]);

/* The canonical 36-character form of any version, either case. */
int uuid_parse(const char *text, struct uuid *uuid) ATTR_MUST_CHECK;

bool uuid_equals(const struct uuid *one, const struct uuid *other);

/* All zero: nobody's. */
bool uuid_is_nil(const struct uuid *uuid);

#endif
