/* google_grant.c - see google_grant.h. */
#include "client/google_grant.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "client/crypto.h"
#include "sys/file.h"
#include "text/json.h"
#include "text/jsonw.h"

#define TOKEN_URL     "https://oauth2.googleapis.com/token"
#define METADATA_HOST "metadata.google.internal"
#define METADATA_PATH \
    "/computeMetadata/v1/instance/service-accounts/default/token"
#define SCOPE "https://www.googleapis.com/auth/cloud-platform"
#define ASSERTION_FORM \
    "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3A" \
    "jwt-bearer&assertion="

#define MAX_FILE_BYTES 65536
#define MAX_URL_BYTES  1024
#define MAX_FORM_BYTES 65536
#define MAX_JWT_BYTES  8192
#define MAX_JSON_DEPTH 16

#define BACKDATE_S     20   /* a clock a little ahead of Google's still works */
#define ASSERTION_S    3600 /* the longest life that Google accepts */
#define MAX_LIFETIME_S 86400

enum kind { METADATA, SERVICE_ACCOUNT, USER };

struct google_credentials {
    enum kind kind;
    struct buf url;
    struct buf quota_project;
    struct buf issuer;      /* SERVICE_ACCOUNT */
    struct buf key_id;      /* SERVICE_ACCOUNT, may be empty */
    struct crypto_key *key; /* SERVICE_ACCOUNT */
    struct buf form;        /* USER: always the same */
};

/* ---- life --------------------------------------------------------------- */

static struct google_credentials *
credentials_new(enum kind kind, struct err *err)
{
    struct google_credentials *c = calloc(1, sizeof(*c));

    if (c == NULL) {
        err_set(err, ERR_NOMEM, "Google credentials");
        return NULL;
    }
    c->kind = kind;
    buf_init(&c->url, MAX_URL_BYTES);
    buf_init(&c->quota_project, MAX_URL_BYTES);
    buf_init(&c->issuer, MAX_URL_BYTES);
    buf_init(&c->key_id, MAX_URL_BYTES);
    buf_init(&c->form, MAX_FORM_BYTES);
    return c;
}

static void
wipe_and_close(struct buf *buf)
{
    if (buf->bytes != NULL)
        crypto_wipe(buf->bytes, buf->capacity);
    buf_close(buf);
}

void
google_credentials_free(struct google_credentials *c)
{
    if (c == NULL)
        return;
    crypto_key_free(c->key);
    wipe_and_close(&c->form);
    buf_close(&c->key_id);
    buf_close(&c->issuer);
    buf_close(&c->quota_project);
    buf_close(&c->url);
    free(c);
}

/* ---- reading the file --------------------------------------------------- */

static int
append(struct buf *buf, const char *text, struct err *err)
{
    return buf_error(buf, buf_append_str(buf, text), "Google credentials", err);
}

/* Visible ASCII only: these go into URLs, headers and claims. */
static int
copy_member(struct buf *out, const json_t *file, const char *name,
            const char *otherwise, struct err *err)
{
    const char *value = json_string_value(json_object_get(file, name));

    if (value == NULL || value[0] == '\0')
        value = otherwise;
    if (value == NULL)
        return err_set(err, ERR_INVALID, "Google credentials without %s", name);
    if (!str_is_visible(value))
        return err_set(err, ERR_INVALID, "Google credentials with a bad %s",
                       name);
    return append(out, value, err);
}

static int
read_key(struct google_credentials *c, const json_t *file, struct err *err)
{
    const json_t *pem = json_object_get(file, "private_key");

    if (!json_is_string(pem))
        return err_set(err, ERR_INVALID,
                       "Google credentials without private_key");
    c->key = crypto_key_from_pem(json_string_value(pem),
                                 json_string_length(pem), err);
    return c->key != NULL ? 0 : -1;
}

static int
read_service_account(struct google_credentials *c, const json_t *file,
                     struct err *err)
{
    if (copy_member(&c->issuer, file, "client_email", NULL, err) == -1 ||
        copy_member(&c->key_id, file, "private_key_id", "", err) == -1)
        return -1;
    return read_key(c, file, err);
}

/* One "&name=value" with the value percent-encoded. */
static int
append_field(struct buf *form, const json_t *file, const char *name,
             struct err *err)
{
    const char *value = json_string_value(json_object_get(file, name));
    enum buf_status status;

    if (value == NULL || value[0] == '\0')
        return err_set(err, ERR_INVALID, "Google credentials without %s", name);
    status = buf_printf(form, "&%s=", name);
    for (; *value != '\0' && status == BUF_OK; value++) {
        const unsigned char c = (unsigned char)*value;

        if (isascii(c) && (isalnum(c) || strchr("-._~", c) != NULL))
            status = buf_append(form, value, 1);
        else
            status = buf_printf(form, "%%%02X", c);
    }
    return buf_error(form, status, "Google credentials", err);
}

static int
read_user(struct google_credentials *c, const json_t *file, struct err *err)
{
    if (append(&c->form, "grant_type=refresh_token", err) == -1 ||
        append_field(&c->form, file, "client_id", err) == -1 ||
        append_field(&c->form, file, "client_secret", err) == -1)
        return -1;
    return append_field(&c->form, file, "refresh_token", err);
}

static int
kind_of(const json_t *file, enum kind *kind, struct err *err)
{
    const char *type = json_string_value(json_object_get(file, "type"));

    if (type != NULL && strcmp(type, "service_account") == 0)
        *kind = SERVICE_ACCOUNT;
    else if (type != NULL && strcmp(type, "authorized_user") == 0)
        *kind = USER;
    else
        return err_set(err, ERR_INVALID,
                       "Google credentials are neither of type "
                       "service_account nor authorized_user");
    return 0;
}

static struct google_credentials *
credentials_from_json(const json_t *file, struct err *err)
{
    struct google_credentials *c;
    enum kind kind = USER;
    int status;

    if (kind_of(file, &kind, err) == -1)
        return NULL;
    c = credentials_new(kind, err);
    if (c == NULL)
        return NULL;
    if (copy_member(&c->url, file, "token_uri", TOKEN_URL, err) == -1 ||
        copy_member(&c->quota_project, file, "quota_project_id", "", err) == -1)
        goto fail;
    if (!str_starts_with(buf_cstr(&c->url), "https://") &&
        !str_starts_with(buf_cstr(&c->url), "http://")) {
        err_set(err, ERR_INVALID, "Google credentials with a bad token_uri");
        goto fail;
    }
    status = kind == USER ? read_user(c, file, err)
                          : read_service_account(c, file, err);
    if (status == 0)
        return c;

fail:
    google_credentials_free(c);
    return NULL;
}

struct google_credentials *
google_credentials_parse(const char *json, size_t len, struct err *err)
{
    struct google_credentials *c;
    json_t *file = json_parse(json, len, MAX_JSON_DEPTH, err);

    if (file == NULL)
        return NULL;
    c = credentials_from_json(file, err);
    json_decref(file);
    return c;
}

struct google_credentials *
google_credentials_read(const char *path, struct err *err)
{
    struct google_credentials *c = NULL;
    struct buf content;

    buf_init(&content, MAX_FILE_BYTES);
    if (file_read(path, &content, err) == 0)
        c = google_credentials_parse(buf_cstr(&content), content.len, err);
    wipe_and_close(&content);
    return c;
}

struct google_credentials *
google_credentials_from_metadata(const char *host, struct err *err)
{
    struct google_credentials *c;

    for (const char *h = host; *h != '\0'; h++)
        if (!isascii(*h) ||
            (!isalnum((unsigned char)*h) && strchr(".-:[]", *h) == NULL)) {
            err_set(err, ERR_INVALID, "not a metadata host: \"%.80s\"", host);
            return NULL;
        }
    c = credentials_new(METADATA, err);
    if (c == NULL)
        return NULL;
    if (append(&c->url, "http://", err) == -1 ||
        append(&c->url, str_or(host, METADATA_HOST), err) == -1 ||
        append(&c->url, METADATA_PATH, err) == -1) {
        google_credentials_free(c);
        return NULL;
    }
    return c;
}

/* ---- what is sent ------------------------------------------------------- */

const char *
google_credentials_url(const struct google_credentials *c)
{
    return buf_cstr(&c->url);
}

const char *
google_credentials_quota_project(const struct google_credentials *c)
{
    return buf_cstr(&c->quota_project);
}

bool
google_credentials_are_metadata(const struct google_credentials *c)
{
    return c->kind == METADATA;
}

static void
write_header(const struct google_credentials *c, struct jsonw *writer)
{
    jsonw_object(writer, NULL);
    jsonw_string(writer, "alg", "RS256");
    jsonw_string(writer, "typ", "JWT");
    if (c->key_id.len > 0)
        jsonw_string(writer, "kid", buf_cstr(&c->key_id));
    jsonw_end_object(writer);
}

static void
write_claims(const struct google_credentials *c, int64_t unix_s,
             struct jsonw *writer)
{
    jsonw_object(writer, NULL);
    jsonw_string(writer, "iss", buf_cstr(&c->issuer));
    jsonw_string(writer, "scope", SCOPE);
    jsonw_string(writer, "aud", buf_cstr(&c->url));
    jsonw_int(writer, "iat", unix_s - BACKDATE_S);
    jsonw_int(writer, "exp", unix_s - BACKDATE_S + ASSERTION_S);
    jsonw_end_object(writer);
}

/* Appends the signed assertion; json and signature are scratch. */
static int
append_assertion(const struct google_credentials *c, int64_t unix_s,
                 struct buf *form, struct buf *json, struct buf *signature,
                 struct err *err)
{
    const size_t start = form->len;
    struct jsonw writer;

    jsonw_init(&writer, json);
    write_header(c, &writer);
    if (jsonw_failed(&writer) ||
        crypto_append_base64url(form, json->bytes, json->len) != BUF_OK)
        return err_set(err, ERR_NOMEM, "Google assertion");
    buf_clear(json);
    jsonw_init(&writer, json);
    write_claims(c, unix_s, &writer);
    if (jsonw_failed(&writer) || append(form, ".", err) == -1 ||
        crypto_append_base64url(form, json->bytes, json->len) != BUF_OK)
        return err_set(err, ERR_NOMEM, "Google assertion");
    if (crypto_sign_rs256(c->key, form->bytes + start, form->len - start,
                          signature, err) == -1)
        return -1;
    if (append(form, ".", err) == -1 ||
        crypto_append_base64url(form, signature->bytes, signature->len) !=
            BUF_OK)
        return err_set(err, ERR_NOMEM, "Google assertion");
    return 0;
}

static int
append_signed(const struct google_credentials *c, int64_t unix_s,
              struct buf *form, struct err *err)
{
    struct buf signature;
    struct buf json;
    int status;

    buf_init(&json, MAX_JWT_BYTES);
    buf_init(&signature, MAX_JWT_BYTES);
    status = append_assertion(c, unix_s, form, &json, &signature, err);
    buf_close(&signature);
    buf_close(&json);
    return status;
}

int
google_credentials_form(const struct google_credentials *c, int64_t unix_s,
                        struct buf *form, struct err *err)
{
    buf_clear(form);
    switch (c->kind) {
    case METADATA:
        break;
    case USER:
        return append(form, buf_cstr(&c->form), err);
    case SERVICE_ACCOUNT:
        if (append(form, ASSERTION_FORM, err) == -1)
            return -1;
        return append_signed(c, unix_s, form, err);
    }
    return 0;
}

/* ---- what comes back ---------------------------------------------------- */

static bool
is_header_safe(const json_t *text)
{
    const char *value = json_string_value(text);

    return value != NULL && value[0] != '\0' && str_is_visible(value);
}

/* Seconds, as a number or as text of one; -1 when neither. */
static int64_t
lifetime_s(const json_t *json)
{
    const double number = json_number_value(json);
    int64_t seconds = -1;

    if (json_is_string(json) &&
        str_to_int(json_string_value(json), 1, MAX_LIFETIME_S, &seconds) == 0)
        return seconds;
    if (number < 1)
        return -1;
    return number < MAX_LIFETIME_S ? (int64_t)number : MAX_LIFETIME_S;
}

static enum google_grant
read_granted(const json_t *answer, struct buf *token, int64_t *lifetime_ms)
{
    const json_t *text = json_object_get(answer, "access_token");
    const int64_t seconds = lifetime_s(json_object_get(answer, "expires_in"));

    if (!is_header_safe(text) || seconds == -1)
        return GOOGLE_BUSY;
    buf_clear(token);
    if (buf_append_str(token, json_string_value(text)) != BUF_OK)
        return GOOGLE_BUSY;
    *lifetime_ms = seconds * 1000;
    return GOOGLE_GRANTED;
}

/* The codes of RFC 6749 are a string here; API errors are an object. */
static bool
says_later(const json_t *answer)
{
    static const char *const codes[] = { "internal_failure", "server_error",
                                         "temporarily_unavailable" };
    const char *error = json_string_value(json_object_get(answer, "error"));

    for (size_t i = 0; error != NULL && i < ARRAY_LEN(codes); i++)
        if (strcmp(error, codes[i]) == 0)
            return true;
    return false;
}

enum google_grant
google_grant_read(long http_status, const char *body, size_t len,
                  struct buf *token, int64_t *lifetime_ms)
{
    const bool is_clients_fault = http_status >= 400 && http_status < 500 &&
                                  http_status != 408 && http_status != 429;
    json_t *answer = json_parse(body, len, MAX_JSON_DEPTH, NULL);
    enum google_grant grant = GOOGLE_BUSY;

    if (http_status == 200 && answer != NULL)
        grant = read_granted(answer, token, lifetime_ms);
    else if (is_clients_fault && !says_later(answer))
        grant = GOOGLE_DENIED;
    json_decref(answer);
    return grant;
}
