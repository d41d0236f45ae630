/*
 * dialect - what one provider wants to be sent and how it answers.
 *
 * One table of functions per provider.  All are pure: configuration and JSON
 * go in, text and facts come out.
 */
#ifndef MODEL_DIALECT_H
#define MODEL_DIALECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/err.h"
#include "model/failure.h"
#include "model/model.h"
#include "model/reply.h"
#include "text/json.h"
#include "text/jsonw.h"

#define DIALECT_MAX_HEADERS 6

/* "Name: value" lines, then NULL; they live as long as the arena. */
struct dialect_headers {
    struct arena *arena;
    const char *lines[DIALECT_MAX_HEADERS + 1];
    size_t count;
};

/* What the headers of one request depend on besides the configuration. */
struct dialect_moment {
    const char *google_token;  /* vertex only */
    const char *quota_project; /* "": none to name */
    int64_t seconds_left;      /* until nobody waits any more, rounded up */
};

/* What shows that an answer is whole although the transport does not. */
enum dialect_proof {
    DIALECT_MARKER,      /* the end marker */
    DIALECT_COUNTS,      /* the total count: only the last chunk has one, while
                          * the marker may stand on every chunk */
    DIALECT_LATE_MARKER, /* both may; then a marker, if a text before had none */
};

struct dialect {
    bool wants_google_token;
    enum dialect_proof proof;

    /* ERR_INVALID, naming what is wrong with the setting but no secret. */
    int (*check)(const struct model_config *config, struct err *err);

    /* config has been checked.  ERR_NOMEM or ERR_LIMIT. */
    int (*url)(const struct model_config *config, struct buf *out,
               struct err *err);
    int (*headers)(const struct model_config *config,
                   const struct dialect_moment *moment,
                   struct dialect_headers *headers, struct err *err);
    int (*body)(const struct model_config *config,
                const struct model_prompt *prompt, struct buf *out,
                struct err *err);

    /* One object of the stream that holds no error. */
    void (*event)(struct reply *reply, const json_t *event);

    /* What the value of an "error" member says; FAILURE_PROVIDER when it
     * names no known cause. */
    enum failure (*classify)(const json_t *error);
};

extern const struct dialect dialect_vertex;
extern const struct dialect dialect_gemini;
extern const struct dialect dialect_openai;

const struct dialect *dialect_of(enum model_provider provider);

/* ---- shared by the dialects --------------------------------------------- */

int dialect_add_header(struct dialect_headers *headers, struct err *err,
                       const char *fmt, ...) ATTR_PRINTF(3, 4) ATTR_MUST_CHECK;

int dialect_body_error(const struct jsonw *writer,
                       struct err *err) ATTR_MUST_CHECK;

/* base_url (or otherwise, when that is "") without a trailing slash. */
int dialect_append_base(struct buf *out, const char *base_url,
                        const char *otherwise, struct err *err) ATTR_MUST_CHECK;

/* "": fine.  http or https, a host, no user, query, fragment or blanks. */
int dialect_check_base_url(const char *base_url,
                           struct err *err) ATTR_MUST_CHECK;

/* Visible ASCII only, so that it can stand in a header. */
int dialect_check_key(const char *key, struct err *err) ATTR_MUST_CHECK;

/* The id without models/, publishers/google/models/, projects/... or google/.
 */
const char *dialect_bare_model(const char *model);

/* True when the model that served is another one than was asked for: a version,
 * a date or a preview of the same is not, nor what "-latest" stands for. */
bool dialect_is_rerouted(const char *asked, const char *served);

/* True when text (NULL is fine) contains phrase, in any case of letters. */
bool dialect_mentions(const json_t *text, const char *phrase);

/* 429 or "429"; -1 when it is no number. */
long dialect_status_code(const json_t *code);

#endif
