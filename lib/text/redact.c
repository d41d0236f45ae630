/* redact.c - see redact.h. */
#include "text/redact.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include "text/utf8.h"

#define MATCH_LIMIT     100000 /* steps from one place in the text */
#define DEPTH_LIMIT     5000
#define HEAP_LIMIT_KIB  (8 * 1024)
#define STACK_BYTES     (32 * 1024)
#define STACK_MAX_BYTES (1024 * 1024)
#define MESSAGE_BYTES   120

struct rule {
    const char *kind;
    const char *placeholder;
    pcre2_code *code;
    pcre2_match_data *match;
    uint32_t group; /* the one to replace; 0: the whole match */
    size_t found;   /* in the text at hand */
};

struct redactor {
    pcre2_match_context *context;
    pcre2_jit_stack *stack;
    size_t count;
    struct rule rules[];
};

/* ---- compiling ----------------------------------------------------------- */

static int
compile_rule(struct rule *rule, const struct redact_rule *source,
             struct err *err)
{
    const uint32_t flags = PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C;
    unsigned char message[MESSAGE_BYTES] = "";
    PCRE2_SIZE offset;
    int code, group;

    *rule = (struct rule){ .kind = source->kind,
                           .placeholder = source->placeholder };
    rule->code =
        pcre2_compile((PCRE2_SPTR)source->pattern, PCRE2_ZERO_TERMINATED, flags,
                      &code, &offset, NULL);
    if (rule->code == NULL) {
        pcre2_get_error_message(code, message, sizeof(message));
        return err_set(err, ERR_INVALID, "redaction rule %s: %s at offset %zu",
                       rule->kind, (char *)message, offset);
    }
    rule->match = pcre2_match_data_create_from_pattern(rule->code, NULL);
    if (rule->match == NULL)
        return err_set(err, ERR_NOMEM, "redaction rule %s", rule->kind);
    group = pcre2_substring_number_from_name(rule->code, (PCRE2_SPTR) "v");
    if (group == PCRE2_ERROR_NOUNIQUESUBSTRING)
        return err_set(err, ERR_INVALID, "redaction rule %s: two groups v",
                       rule->kind);
    rule->group = group > 0 ? (uint32_t)group : 0;
    /* Where the system forbids writable code, the interpreter does it. */
    (void)pcre2_jit_compile(rule->code, PCRE2_JIT_COMPLETE);
    return 0;
}

static int
set_limits(struct redactor *redactor, struct err *err)
{
    redactor->context = pcre2_match_context_create(NULL);
    redactor->stack =
        pcre2_jit_stack_create(STACK_BYTES, STACK_MAX_BYTES, NULL);
    if (redactor->context == NULL)
        return err_set(err, ERR_NOMEM, "redaction limits");
    pcre2_set_match_limit(redactor->context, MATCH_LIMIT);
    pcre2_set_depth_limit(redactor->context, DEPTH_LIMIT);
    pcre2_set_heap_limit(redactor->context, HEAP_LIMIT_KIB);
    pcre2_jit_stack_assign(redactor->context, NULL, redactor->stack);
    return 0;
}

struct redactor *
redact_new(const struct redact_rule *rules, size_t count, struct err *err)
{
    struct redactor *redactor =
        calloc(1, sizeof(*redactor) + count * sizeof(redactor->rules[0]));

    if (redactor == NULL) {
        err_set(err, ERR_NOMEM, "redaction rules");
        return NULL;
    }
    redactor->count = count;
    if (set_limits(redactor, err) == -1)
        goto fail;
    for (size_t i = 0; i < count; i++)
        if (compile_rule(&redactor->rules[i], &rules[i], err) == -1)
            goto fail;
    return redactor;

fail:
    redact_free(redactor);
    return NULL;
}

void
redact_free(struct redactor *redactor)
{
    if (redactor == NULL)
        return;
    for (size_t i = 0; i < redactor->count; i++) {
        pcre2_match_data_free(redactor->rules[i].match);
        pcre2_code_free(redactor->rules[i].code);
    }
    pcre2_jit_stack_free(redactor->stack);
    pcre2_match_context_free(redactor->context);
    free(redactor);
}

/* ---- replacing ----------------------------------------------------------- */

enum found { FOUND_NONE, FOUND_ONE, FOUND_FAILURE };

/* What to replace, and where to look on. */
struct span {
    size_t begin;
    size_t end;
    size_t next;
};

static enum found
fail(const struct rule *rule, int code, struct err *err)
{
    switch (code) {
    case PCRE2_ERROR_MATCHLIMIT:
    case PCRE2_ERROR_DEPTHLIMIT:
    case PCRE2_ERROR_HEAPLIMIT:
    case PCRE2_ERROR_JIT_STACKLIMIT:
        err_set(err, ERR_LIMIT, "redaction rule %s: too hard a text",
                rule->kind);
        break;
    case PCRE2_ERROR_NOMEMORY:
        err_set(err, ERR_NOMEM, "redaction rule %s", rule->kind);
        break;
    default:
        err_set(err, ERR_SYSTEM, "redaction rule %s: match error %d",
                rule->kind, code);
        break;
    }
    return FOUND_FAILURE;
}

static enum found
find(const struct redactor *redactor, const struct rule *rule,
     const struct buf *text, struct span *span, struct err *err)
{
    const PCRE2_SIZE *offsets = pcre2_get_ovector_pointer(rule->match);
    const uint32_t flags = PCRE2_NO_UTF_CHECK | PCRE2_NOTEMPTY;
    uint32_t group = rule->group;
    int code;

    code = pcre2_match(rule->code, (PCRE2_SPTR)buf_cstr(text), text->len,
                       span->next, flags, rule->match, redactor->context);
    if (code == PCRE2_ERROR_NOMATCH)
        return FOUND_NONE;
    if (code < 0 || offsets[1] <= span->next)
        return fail(rule, code, err);
    if (offsets[2 * group] == PCRE2_UNSET)
        group = 0;
    span->begin = offsets[2 * group];
    span->end = offsets[2 * group + 1];
    span->next = offsets[1] > span->end ? offsets[1] : span->end;
    return FOUND_ONE;
}

/* Appends the text from *copied up to the span, and the placeholder.  A group
 * in a lookbehind may reach back into what was copied already. */
static enum buf_status
replace(struct rule *rule, const struct buf *text, const struct span *span,
        size_t *copied, struct buf *out)
{
    const size_t begin = span->begin > *copied ? span->begin : *copied;
    enum buf_status status;

    if (span->end <= begin)
        return BUF_OK;
    status = buf_append(out, text->bytes + *copied, begin - *copied);
    if (status == BUF_OK)
        status = buf_append_str(out, rule->placeholder);
    *copied = span->end;
    rule->found++;
    return status;
}

static int
report(const struct buf *buf, enum buf_status status, struct err *err)
{
    return buf_error(buf, status, "redacted text", err);
}

/* Changes text by one rule; scratch is free to use. */
static int
apply_rule(struct redactor *redactor, struct rule *rule, struct buf *text,
           struct buf *scratch, struct err *err)
{
    struct span span = { 0, 0, 0 };
    enum buf_status status = BUF_OK;
    size_t copied = 0;
    enum found found;

    rule->found = 0;
    buf_clear(scratch);
    while ((found = find(redactor, rule, text, &span, err)) == FOUND_ONE) {
        status = replace(rule, text, &span, &copied, scratch);
        if (status != BUF_OK)
            return report(scratch, status, err);
    }
    if (found == FOUND_FAILURE)
        return -1;
    if (rule->found == 0)
        return 0;
    status = buf_append(scratch, text->bytes + copied, text->len - copied);
    if (status != BUF_OK)
        return report(scratch, status, err);
    buf_clear(text);
    return report(text, buf_append(text, scratch->bytes, scratch->len), err);
}

int
redact_apply(struct redactor *redactor, const char *text, size_t len,
             struct buf *out, size_t *counts, struct err *err)
{
    struct buf scratch;
    int rc;

    buf_clear(out);
    if (!utf8_is_clean(text, len))
        return err_set(err, ERR_INVALID, "text to redact is no clean UTF-8");
    buf_init(&scratch, out->max_bytes);
    rc = report(out, buf_append(out, text, len), err);
    for (size_t i = 0; i < redactor->count && rc == 0; i++)
        rc = apply_rule(redactor, &redactor->rules[i], out, &scratch, err);
    buf_close(&scratch);
    if (rc == -1)
        buf_clear(out);
    for (size_t i = 0; i < redactor->count && rc == 0 && counts != NULL; i++)
        counts[i] += redactor->rules[i].found;
    return rc;
}
