/*
 * canonical - canonical JSON as Jansson writes it, which is nobody of ours.
 *
 *     text = json_dumps(value, CANONICAL);
 */
#ifndef SUPPORT_CANONICAL_H
#define SUPPORT_CANONICAL_H

#include <jansson.h>

#define CANONICAL (JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY)

#endif
