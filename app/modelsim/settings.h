/*
 * settings - how the simulated models behave: delays, amounts, text, faults.
 *
 *     settings_init(&all);                                the built-in defaults
 *     settings_apply(&all, "pro.fault", "cut", &err);     flags, one by one
 *     settings_apply_json(&all, object, &err);            the control path
 *     settings_apply_header(&all, "a=1,b=2", &err);       one request's X-Sim
 *     settings_apply_directives(&all, text, &err);        [[sim a=1]] in a prompt
 *
 * A key begins with "flash.", "pro." or "token."; without a prefix it speaks
 * to both models.  Plain data: copy it freely; nothing to release.  A failed
 * call may have applied the keys before the bad one.
 */
#ifndef MODELSIM_SETTINGS_H
#define MODELSIM_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "base/attr.h"
#include "base/err.h"

#define SETTINGS_TEXT_BYTES 8192
#define SETTINGS_NAME_BYTES 80

/* Around a directive in a prompt. */
#define SETTINGS_DIRECTIVE_BEGIN "[[sim "
#define SETTINGS_DIRECTIVE_END   "]]"

enum role { ROLE_FLASH, ROLE_PRO, ROLE_TOKEN, ROLE_COUNT };

enum fault {
    FAULT_NONE,
    FAULT_STATUS,            /* an HTTP error with a proper body */
    FAULT_SILENT,            /* never answer */
    FAULT_STALL,             /* some chunks, then silence */
    FAULT_DRIP,              /* the body byte by byte */
    FAULT_SLOW_HEADERS,      /* the same from the status line on */
    FAULT_CUT,               /* close in the middle of an event */
    FAULT_RESET,             /* the same with a TCP reset */
    FAULT_NOFINISH,          /* a clean end without finish reason */
    FAULT_ERROR_TAIL,        /* raw error JSON after some chunks */
    FAULT_TAIL_CUT,          /* half of such an error */
    FAULT_ERROR_EVENT,       /* an error in an event after some chunks */
    FAULT_FINISH_THEN_ERROR, /* the same after the finish reason */
    FAULT_FINISH_THEN_CUT,   /* all of the answer, then cut */
    FAULT_AFTER_DONE,        /* text after the end (OpenAI) */
    FAULT_RENAMED,           /* another response id half-way */
    FAULT_BLOCKED,           /* the prompt is refused */
    FAULT_SAFETY,            /* the answer is refused after some chunks */
    FAULT_MAX_TOKENS,        /* the answer is cut after some chunks */
    FAULT_EMPTY,             /* a finish reason, no text */
    FAULT_HTML,              /* a 404 page in HTML */
    FAULT_COMMENTS,          /* SSE comments for ever */
    FAULT_BADJSON,           /* one broken event among good ones */
    FAULT_UNKNOWN_FINISH,    /* a finish reason nobody knows */
    FAULT_HUGE_LINE,         /* the whole answer in one very long line */
    FAULT_FINISH_EACH,       /* the finish reason on every chunk */
    FAULT_SURROGATE,         /* half a surrogate pair, escaped */
    FAULT_BADUTF8,           /* bytes that are no UTF-8 */
    FAULT_COUNT
};

struct settings {
    int64_t delay_ms;   /* to the first byte */
    int64_t chunk_ms;   /* from one chunk to the next */
    int64_t chunks;     /* pieces of answer text */
    int64_t thoughts;   /* thinking parts before the text */
    int64_t after;      /* chunks before a fault strikes */
    int64_t text_bytes; /* -1: write a sensible answer */
    int64_t split;      /* bytes per write; 0: whole events */
    int64_t drip_ms;    /* from byte to byte */
    int64_t status;
    int64_t retry_delay_ms; /* -1: errors name none */
    int64_t expires_in_s;   /* of an access token */
    int64_t times;          /* requests the fault still strikes; -1: all */
    enum fault fault;
    bool has_text;
    char text[SETTINGS_TEXT_BYTES];
    char finish[SETTINGS_NAME_BYTES];        /* "": the wire's own */
    char model_version[SETTINGS_NAME_BYTES]; /* "": as asked for */
};

struct settings_all {
    struct settings roles[ROLE_COUNT];
};

const char *role_name(enum role role);

void settings_init(struct settings_all *all);

/* All of these: 0, or -1 on ERR_INVALID with the key and the reason. */
int settings_apply(struct settings_all *all, const char *key, const char *value,
                   struct err *err) ATTR_MUST_CHECK;
int settings_apply_json(struct settings_all *all, json_t *object,
                        struct err *err) ATTR_MUST_CHECK;

/* Values may hold %XX escapes here, so that a text can have blanks. */
int settings_apply_header(struct settings_all *all, const char *list,
                          struct err *err) ATTR_MUST_CHECK;
int settings_apply_directives(struct settings_all *all, const char *text,
                              struct err *err) ATTR_MUST_CHECK;

#endif
