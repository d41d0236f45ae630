/* wire_token.c - see wire.h: OAuth's token endpoint, whose errors are words
 * and not objects. */
#include "modelsim/wire.h"

static void
error(struct script *script, const struct reply *reply, const struct fail *fail)
{
    const char *word = fail->reason;

    (void)reply;
    if (word == NULL)
        word = fail->status >= 500   ? "internal_failure"
               : fail->status == 401 ? "invalid_client"
                                     : "invalid_grant";
    script_add_json_take(
        script,
        json_pack("{s:s, s:s}", "error", word, "error_description",
                  fail->message == NULL ? "Bad Request" : fail->message),
        JSON_INDENT(2));
    script_add_text(script, "\n");
}

static void
whole(struct script *script, const struct reply *reply)
{
    script_add_json_take(script,
                         json_pack("{s:s%, s:I, s:s}", "access_token",
                                   reply->text, reply->text_len, "expires_in",
                                   (json_int_t)reply->expires_in_s,
                                   "token_type", "Bearer"),
                         JSON_INDENT(2));
    script_add_text(script, "\n");
}

static void
broken(struct script *script, const struct reply *reply)
{
    (void)reply;
    script_add_text(script, "{\"access_token\": oops");
}

const struct wire wire_token = {
    .blocked = whole,
    .broken = broken,
    .error = error,
    .whole = whole,
};
