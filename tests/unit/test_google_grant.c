/*
 * test_google_grant - lib/client/google_grant: what is sent for each kind of
 * credentials, and what the endpoint's answers mean.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/attr.h"
#include "client/google_grant.h"
#include "client/google_token.h"

static EVP_PKEY *rsa; /* one for all: making it takes a while */
static char *rsa_pem;

/* ---- credentials -------------------------------------------------------- */

static struct google_credentials *
parse_take(json_t *file, struct err *err)
{
    char *text = json_dumps(file, 0);
    struct google_credentials *c;

    assert_non_null(text);
    c = google_credentials_parse(text, strlen(text), err);
    free(text);
    json_decref(file);
    return c;
}

static json_t *
service_account(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "service_account",
                     "client_email", "me@acme.example", "private_key", rsa_pem,
                     "private_key_id", "kid-7", "token_uri",
                     "https://token.example/t");
}

static json_t *
user(void)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s}", "type", "authorized_user",
                     "client_id", "id-1.apps", "client_secret", "se+cr&et",
                     "refresh_token", "1//re=fresh", "quota_project_id",
                     "bill-me");
}

static size_t
decode_base64url(const char *text, size_t len, unsigned char *out)
{
    char padded[1024];
    size_t at = 0;
    int got;

    for (; at < len; at++)
        padded[at] = text[at] == '-' ? '+' : text[at] == '_' ? '/' : text[at];
    while (at % 4 != 0)
        padded[at++] = '=';
    got = EVP_DecodeBlock(out, (const unsigned char *)padded, (int)at);
    assert_true(got >= 0);
    return (size_t)got - (at - len);
}

static json_t *
decode_part(const char *text, size_t len)
{
    unsigned char json[1024];
    json_t *part = json_loadb((const char *)json,
                              decode_base64url(text, len, json), 0, NULL);

    assert_non_null(part);
    return part;
}

static void
assert_signed(const char *jwt, const char *last_dot)
{
    unsigned char signature[1024];
    const size_t len =
        decode_base64url(last_dot + 1, strlen(last_dot + 1), signature);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    assert_int_equal(EVP_DigestVerifyInit(ctx, NULL, EVP_sha256(), NULL, rsa),
                     1);
    assert_int_equal(EVP_DigestVerify(ctx, signature, len,
                                      (const unsigned char *)jwt,
                                      (size_t)(last_dot - jwt)),
                     1);
    EVP_MD_CTX_free(ctx);
}

static void
test_a_service_account_sends_a_signed_assertion(void **state)
{
    static const char head[] = "grant_type=urn%3Aietf%3Aparams%3Aoauth%3A"
                               "grant-type%3Ajwt-bearer&assertion=";
    struct google_credentials *c = parse_take(service_account(), NULL);
    const char *jwt, *dot, *last_dot;
    struct buf form;
    json_t *part;

    (void)state;
    assert_non_null(c);
    assert_string_equal(google_credentials_url(c), "https://token.example/t");
    buf_init(&form, 10000);
    assert_int_equal(google_credentials_form(c, 1700000000, &form, NULL), 0);
    assert_memory_equal(form.bytes, head, strlen(head));
    jwt = form.bytes + strlen(head);
    dot = strchr(jwt, '.');
    last_dot = strrchr(jwt, '.');
    part = decode_part(jwt, (size_t)(dot - jwt));
    assert_string_equal(json_string_value(json_object_get(part, "alg")),
                        "RS256");
    assert_string_equal(json_string_value(json_object_get(part, "kid")),
                        "kid-7");
    json_decref(part);
    part = decode_part(dot + 1, (size_t)(last_dot - dot - 1));
    assert_string_equal(json_string_value(json_object_get(part, "iss")),
                        "me@acme.example");
    assert_string_equal(json_string_value(json_object_get(part, "aud")),
                        "https://token.example/t");
    assert_string_equal(json_string_value(json_object_get(part, "scope")),
                        "https://www.googleapis.com/auth/cloud-platform");
    assert_int_equal(json_integer_value(json_object_get(part, "iat")),
                     1700000000 - 20);
    assert_int_equal(json_integer_value(json_object_get(part, "exp")),
                     1700000000 - 20 + 3600);
    json_decref(part);
    assert_signed(jwt, last_dot);
    buf_close(&form);
    google_credentials_free(c);
}

static void
test_each_assertion_has_its_own_time(void **state)
{
    struct google_credentials *c = parse_take(service_account(), NULL);
    struct buf one, two;

    (void)state;
    buf_init(&one, 10000);
    buf_init(&two, 10000);
    assert_int_equal(google_credentials_form(c, 1700000000, &one, NULL), 0);
    assert_int_equal(google_credentials_form(c, 1700000001, &two, NULL), 0);
    assert_string_not_equal(one.bytes, two.bytes);
    buf_close(&two);
    buf_close(&one);
    google_credentials_free(c);
}

static void
test_a_user_sends_the_refresh_token_encoded(void **state)
{
    struct google_credentials *c = parse_take(user(), NULL);
    struct buf form;

    (void)state;
    assert_non_null(c);
    assert_string_equal(google_credentials_url(c),
                        "https://oauth2.googleapis.com/token");
    assert_string_equal(google_credentials_quota_project(c), "bill-me");
    buf_init(&form, 10000);
    assert_int_equal(google_credentials_form(c, 0, &form, NULL), 0);
    assert_string_equal(buf_cstr(&form),
                        "grant_type=refresh_token&client_id=id-1.apps&"
                        "client_secret=se%2Bcr%26et&"
                        "refresh_token=1%2F%2Fre%3Dfresh");
    buf_close(&form);
    google_credentials_free(c);
}

static void
assert_refused(json_t *file)
{
    struct err err = { 0 };

    assert_null(parse_take(file, &err));
    assert_int_equal(err.kind, ERR_INVALID);
    assert_null(strstr(err.text, "se+cr"));
    assert_null(strstr(err.text, "1//re"));
    assert_null(strstr(err.text, "KEY"));
}

static json_t *
with(json_t *file, const char *name, json_t *value)
{
    json_object_set_new(file, name, value);
    return file;
}

static void
test_credentials_that_cannot_work_are_refused_without_secrets(void **state)
{
    struct err err = { 0 };

    (void)state;
    assert_refused(with(user(), "type", json_string("external_account")));
    assert_refused(with(user(), "type", json_null()));
    assert_refused(with(user(), "client_secret", json_integer(1)));
    assert_refused(with(user(), "refresh_token", json_string("")));
    assert_refused(with(user(), "token_uri", json_string("file:///etc/x")));
    assert_refused(with(user(), "token_uri", json_string("https://a b")));
    assert_refused(with(user(), "quota_project_id", json_string("a\r\nX: 1")));
    assert_refused(with(service_account(), "client_email", json_null()));
    assert_refused(with(service_account(), "private_key", json_null()));
    assert_refused(with(service_account(), "private_key",
                        json_string("-----BEGIN PRIVATE KEY-----\nse+cr\n")));
    assert_null(google_credentials_parse("[]", 2, &err));
    err = (struct err){ 0 };
    assert_null(google_credentials_parse("{\"se+cr", 7, &err));
    assert_null(strstr(err.text, "se+cr"));
    assert_null(google_credentials_from_metadata("a/b?x", NULL));
    assert_int_equal(google_token_check("/nonexistent", "", NULL), -1);
}

static void
test_answers_of_the_endpoint_are_told_apart(void **state)
{
    static const struct {
        long status;
        const char *body;
        enum google_grant grant;
        int64_t lifetime_ms;
    } table[] = {
        { 200, "{\"access_token\":\"t\",\"expires_in\":3599}", GOOGLE_GRANTED,
          3599000 },
        { 200, "{\"access_token\":\"t\",\"expires_in\":\"3599\"}",
          GOOGLE_GRANTED, 3599000 },
        { 200, "{\"access_token\":\"t\",\"expires_in\":60.0}", GOOGLE_GRANTED,
          60000 },
        { 200, "{\"access_token\":\"t\",\"expires_in\":1e300}", GOOGLE_GRANTED,
          86400000 },
        { 200, "{\"access_token\":\"t\",\"expires_in\":0}", GOOGLE_BUSY, 0 },
        { 200, "{\"access_token\":\"t\",\"expires_in\":-5}", GOOGLE_BUSY, 0 },
        { 200, "{\"access_token\":\"t\",\"expires_in\":\"x\"}", GOOGLE_BUSY,
          0 },
        { 200, "{\"access_token\":\"t\"}", GOOGLE_BUSY, 0 },
        { 200, "{\"access_token\":\"\",\"expires_in\":9}", GOOGLE_BUSY, 0 },
        { 200, "{\"access_token\":\"a\\r\\nX: y\",\"expires_in\":9}",
          GOOGLE_BUSY, 0 },
        { 200, "{\"access_token\":7,\"expires_in\":9}", GOOGLE_BUSY, 0 },
        { 200, "<html>login</html>", GOOGLE_BUSY, 0 },
        { 200, "", GOOGLE_BUSY, 0 },
        { 204, "", GOOGLE_BUSY, 0 },
        { 302, "", GOOGLE_BUSY, 0 },
        { 400, "{\"error\":\"invalid_grant\"}", GOOGLE_DENIED, 0 },
        { 401, "{\"error\":\"invalid_client\"}", GOOGLE_DENIED, 0 },
        { 400, "{\"error\":{\"code\":400}}", GOOGLE_DENIED, 0 },
        { 400, "no JSON", GOOGLE_DENIED, 0 },
        { 404, "<html></html>", GOOGLE_DENIED, 0 },
        { 400, "{\"error\":\"server_error\"}", GOOGLE_BUSY, 0 },
        { 400, "{\"error\":\"temporarily_unavailable\"}", GOOGLE_BUSY, 0 },
        { 408, "", GOOGLE_BUSY, 0 },
        { 429, "", GOOGLE_BUSY, 0 },
        { 500, "", GOOGLE_BUSY, 0 },
        { 503, "{\"error\":\"invalid_grant\"}", GOOGLE_BUSY, 0 },
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        int64_t lifetime_ms = 0;
        struct buf token;

        buf_init(&token, 100);
        if (google_grant_read(table[i].status, table[i].body,
                              strlen(table[i].body), &token,
                              &lifetime_ms) != table[i].grant ||
            lifetime_ms != table[i].lifetime_ms)
            fail_msg("%ld %s", table[i].status, table[i].body);
        assert_string_equal(buf_cstr(&token),
                            table[i].grant == GOOGLE_GRANTED ? "t" : "");
        buf_close(&token);
    }
}

/* ---- all of them -------------------------------------------------------- */

static int
open_all(void **state)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem;
    long len;

    (void)state;
    rsa = EVP_RSA_gen(2048);
    if (rsa == NULL || bio == NULL ||
        PEM_write_bio_PrivateKey(bio, rsa, NULL, NULL, 0, NULL, NULL) != 1)
        return -1;
    len = BIO_get_mem_data(bio, &pem);
    rsa_pem = strndup(pem, (size_t)len);
    BIO_free(bio);
    return rsa_pem != NULL ? 0 : -1;
}

static int
close_all(void **state)
{
    (void)state;
    free(rsa_pem);
    EVP_PKEY_free(rsa);
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_service_account_sends_a_signed_assertion),
        cmocka_unit_test(test_each_assertion_has_its_own_time),
        cmocka_unit_test(test_a_user_sends_the_refresh_token_encoded),
        cmocka_unit_test(
            test_credentials_that_cannot_work_are_refused_without_secrets),
        cmocka_unit_test(test_answers_of_the_endpoint_are_told_apart),
    };

    return cmocka_run_group_tests(tests, open_all, close_all);
}
