/*
 * jsonw - write JSON straight into a buffer, value by value.
 *
 *     jsonw_init(&w, &buf);
 *     jsonw_object(&w, NULL);                   {
 *     jsonw_string(&w, "model", "x");             "model":"x"
 *     jsonw_array(&w, "steps");                   ,"steps":[
 *     jsonw_string(&w, NULL, "one");                "one"
 *     jsonw_end_array(&w);                        ]
 *     jsonw_end_object(&w);                     }
 *     if (jsonw_failed(&w)) ...
 *
 * name is a literal without anything to escape, or NULL inside an array and at
 * the top.  Strings are clean UTF-8; NULL is written as null.  A failed append
 * makes all later ones do nothing, so that it is asked about once.
 */
#ifndef TEXT_JSONW_H
#define TEXT_JSONW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Open because callers embed it; touch nothing inside. */
struct jsonw {
    struct buf *out;
    bool needs_comma;
    bool failed;
};

void jsonw_init(struct jsonw *writer, struct buf *out);
bool jsonw_failed(const struct jsonw *writer);

void jsonw_object(struct jsonw *writer, const char *name);
void jsonw_end_object(struct jsonw *writer);
void jsonw_array(struct jsonw *writer, const char *name);
void jsonw_end_array(struct jsonw *writer);

void jsonw_string(struct jsonw *writer, const char *name, const char *text);
void jsonw_bytes(struct jsonw *writer, const char *name, const char *bytes,
                 size_t len);
void jsonw_int(struct jsonw *writer, const char *name, int64_t value);
void jsonw_bool(struct jsonw *writer, const char *name, bool value);
void jsonw_null(struct jsonw *writer, const char *name);

/* A value that is JSON text already; without a name, also a member that begins
 * with its own. */
void jsonw_raw(struct jsonw *writer, const char *name, const char *json,
               size_t len);

/* null for a negative value, which is how unknown counts and times travel. */
void jsonw_count(struct jsonw *writer, const char *name, int64_t value);

#endif
