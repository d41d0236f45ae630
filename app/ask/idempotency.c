/* idempotency.c - see idempotency.h. */
#include "ask/idempotency.h"

#include <stdlib.h>
#include <string.h>

#include "base/str.h"

bool
idempotency_key_is_valid(const char *key)
{
    return key[0] != '\0' && strlen(key) <= IDEMPOTENCY_KEY_MAX &&
           str_is_visible(key);
}

static int
hash(const struct crypto_part *parts, size_t count,
     char hex[2 * SHA256_LEN + 1], struct err *err)
{
    uint8_t digest[SHA256_LEN];

    if (crypto_sha256(parts, count, digest, err) == -1)
        return -1;
    str_to_hex(digest, sizeof(digest), hex);
    return 0;
}

/* What was asked, equal for equal requests; to be freed, or NULL.  Numbers may
 * be real here, which the ledger's canonical form has not. */
static char *
request_text(const struct request *request)
{
    json_t *asked = json_copy(request->root);
    char *text = NULL;

    if (asked != NULL) {
        json_object_del(asked, "events");
        text = json_dumps(asked, JSON_SORT_KEYS | JSON_COMPACT);
    }
    json_decref(asked);
    return text;
}

int
idempotency_set(struct idempotency *idempotency, const char *key,
                const char *principal, const struct request *request,
                struct err *err)
{
    const char *who = principal != NULL ? principal : "";
    char *text;
    int result;

    memset(idempotency, 0, sizeof(*idempotency));
    if (key == NULL)
        return 0;
    text = request_text(request);
    if (text == NULL)
        return err_set(err, ERR_NOMEM, "a request's hash");
    result = hash((struct crypto_part[]){ { who, strlen(who) + 1 },
                                          { key, strlen(key) } },
                  2, idempotency->key, err);
    if (result == 0)
        result = hash((struct crypto_part[]){ { "\004", 1 },
                                              { key, strlen(key) },
                                              { text, strlen(text) } },
                      3, idempotency->request, err);
    free(text);
    return result;
}
