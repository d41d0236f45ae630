/*
 * str - text to numbers with bounds, and numbers and bytes to text.
 *
 * Garbage never becomes 0: every parser reads the whole text or fails.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/attr.h"

/* Decimal integer within [min, max].  0, or -1 and *value untouched. */
int str_to_int(const char *text, int64_t min, int64_t max,
               int64_t *value) ATTR_MUST_CHECK;

/* The other way: decimal digits and a NUL.  Returns how many characters, without
 * the NUL. */
#define STR_INT_SIZE sizeof("-9223372036854775808")
size_t str_from_int(int64_t value, char text[STR_INT_SIZE]);

/* Decimal seconds such as "5", "0.25" or "45.837906927" as milliseconds,
 * rounded up, within [min_ms, max_ms].  No sign, no exponent. */
int str_to_ms(const char *text, int64_t min_ms, int64_t max_ms,
              int64_t *value_ms) ATTR_MUST_CHECK;

/* A date of HTTP, "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110, section 5.6.7),
 * with nothing but blanks around it. */
int str_to_unix_s(const char *text, int64_t *unix_s) ATTR_MUST_CHECK;

/* true/false, yes/no, on/off, 1/0, any case. */
int str_to_bool(const char *text, bool *value) ATTR_MUST_CHECK;

/* text, unless it is "". */
const char *str_or(const char *text, const char *otherwise);

bool str_starts_with(const char *text, const char *prefix);
bool str_equals_nocase(const char *a, const char *b);

/* Nothing but ASCII without blanks and control characters, so that it can stand
 * in a URL or a header.  "" is visible. */
bool str_is_visible(const char *text);

/* Two lower-case digits a byte and a NUL: hex holds 2 * len + 1. */
void str_to_hex(const void *bytes, size_t len, char *hex);

/* The value of a hex digit of either case, or -1. */
int str_hex_digit(char c);

/* Exactly 2 * len digits, either case. */
int str_from_hex(const char *hex, void *bytes, size_t len) ATTR_MUST_CHECK;

/* Compares secrets in a time that depends on len alone. */
bool str_equals_secret(const void *a, const void *b, size_t len);

#endif
