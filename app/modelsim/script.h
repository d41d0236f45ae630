/*
 * script - one HTTP answer as plain data: what to send, when, and how to end.
 *
 *     script_init(&script);
 *     script_step(&script, wait_ms);           then script_add...() its bytes
 *     if (script_failed(&script)) ...          asked once, at the end
 *     script_close(&script);                   repeatable
 *
 * The wires write scripts and the server plays them: neither knows the other.
 * A failed append makes the whole script fail.  This module knows no time and
 * no sockets.
 */
#ifndef MODELSIM_SCRIPT_H
#define MODELSIM_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/buf.h"

#define SCRIPT_MAX_BYTES    (160 << 20)
#define SCRIPT_HEADER_BYTES 64

#define TYPE_JSON   "application/json; charset=UTF-8"
#define TYPE_STREAM "text/event-stream"
#define TYPE_HTML   "text/html; charset=UTF-8"

enum script_end {
    SCRIPT_ENDS,    /* as HTTP wants it */
    SCRIPT_CUTS,    /* the connection is closed in the middle */
    SCRIPT_RESETS,  /* the same by a TCP reset */
    SCRIPT_HANGS,   /* nothing more until the client goes */
    SCRIPT_REPEATS, /* the last step again and again */
};

struct script_step {
    int64_t wait_ms; /* after the step before it */
    size_t end;      /* offset in bytes behind its last one */
};

/* Open because the server plays it. */
struct script {
    int status;               /* 0: no answer, not even headers */
    const char *content_type; /* a literal */
    const char *header;       /* a literal, one more header; or NULL */
    char header_value[SCRIPT_HEADER_BYTES];
    int64_t delay_ms;      /* before the status line */
    bool chunked;          /* else Content-Length is declared_bytes */
    size_t declared_bytes; /* more than there are when it is cut */
    size_t piece_bytes;    /* per write; 0: as much as fits */
    int64_t piece_ms;      /* from one piece to the next */
    bool drips_headers;    /* pieces begin with the status line */
    enum script_end end;
    struct buf bytes;
    struct script_step *steps;
    size_t step_count;
    size_t step_capacity;
    bool failed;
};

void script_init(struct script *script);
void script_close(struct script *script);
bool script_failed(const struct script *script);

/* Begins a step; bytes added before the first one belong to it. */
void script_step(struct script *script, int64_t wait_ms);

void script_add(struct script *script, const char *bytes, size_t len);
void script_add_text(struct script *script, const char *text);

/* Takes value, which may be NULL and then fails the script.  flags are those
 * of json_dumps(). */
void script_add_json_take(struct script *script, json_t *value, size_t flags);

/* Drops what the last step holds beyond its first half. */
void script_halve_last(struct script *script);

/* Puts status line and headers in front of the bytes, all in one step, for a
 * writer without an HTTP library; the end of the connection ends the body. */
void script_prepend_head(struct script *script);

/* Makes the script a whole body of a known length: one step. */
void script_whole(struct script *script, int status, const char *type);

#endif
