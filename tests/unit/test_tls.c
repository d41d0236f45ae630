/*
 * test_tls - lib/client/tls, alone and below https calls to the openssl
 * command's server.
 */
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/clock.h"
#include "client/http.h"
#include "client/tls.h"

static char folder[] = "/tmp/test_tls.XXXXXX";

static void
path_of(const char *name, char path[PATH_MAX])
{
    snprintf(path, PATH_MAX, "%s/%s", folder, name);
}

static void
trust(const char *name)
{
    char path[PATH_MAX];

    path_of(name, path);
    assert_int_equal(setenv("SSL_CERT_FILE", path, 1), 0);
}

/* ---- the store ---------------------------------------------------------- */

static int
authorities_in(SSL_CTX *ctx)
{
    return sk_X509_OBJECT_num(
        X509_STORE_get0_objects(SSL_CTX_get_cert_store(ctx)));
}

static void
test_all_contexts_get_the_one_store(void **state)
{
    SSL_CTX *one = SSL_CTX_new(TLS_client_method());
    SSL_CTX *two = SSL_CTX_new(TLS_client_method());

    (void)state;
    trust("right.pem");
    assert_int_equal(tls_store_load(NULL), 0);
    assert_int_equal(ERR_peek_error(), 0);
    assert_int_equal(tls_store_attach(one, NULL), 0);
    assert_int_equal(tls_store_attach(two, NULL), 0);
    assert_ptr_equal(SSL_CTX_get_cert_store(one), SSL_CTX_get_cert_store(two));
    assert_int_equal(authorities_in(one), 1);
    tls_store_free();
    SSL_CTX_free(one);
    assert_int_equal(authorities_in(two), 1);
    SSL_CTX_free(two);
}

static void
test_without_a_store_nothing_is_attached(void **state)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    struct err err = { 0 };

    (void)state;
    tls_store_free();
    assert_int_equal(tls_store_attach(ctx, &err), -1);
    assert_int_equal(err.kind, ERR_SYSTEM);
    SSL_CTX_free(ctx);
}

static void
test_a_file_without_certificates_stops_the_start(void **state)
{
    struct err err = { 0 };

    (void)state;
    trust("missing.pem");
    assert_int_equal(http_global_init(&err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_non_null(strstr(err.text, "missing.pem"));
    err = (struct err){ 0 };
    trust("right.key");
    assert_int_equal(tls_store_load(&err), -1);
    assert_int_equal(err.kind, ERR_INVALID);
    assert_int_equal(ERR_peek_error(), 0);
}

static void
test_loading_again_replaces_the_store(void **state)
{
    SSL_CTX *before = SSL_CTX_new(TLS_client_method());
    SSL_CTX *after = SSL_CTX_new(TLS_client_method());

    (void)state;
    trust("right.pem");
    assert_int_equal(tls_store_load(NULL), 0);
    assert_int_equal(tls_store_attach(before, NULL), 0);
    trust("both.pem");
    assert_int_equal(tls_store_load(NULL), 0);
    assert_int_equal(tls_store_attach(after, NULL), 0);
    assert_int_equal(authorities_in(before), 1);
    assert_int_equal(authorities_in(after), 2);
    tls_store_free();
    SSL_CTX_free(before);
    SSL_CTX_free(after);
}

/* ---- https -------------------------------------------------------------- */

struct peer {
    pid_t pid;
    int port;
};

/* The server says "ACCEPT 127.0.0.1:PORT" once it listens. */
static int
read_port(int fd)
{
    const int64_t deadline_mono_ms = clock_mono_ms() + 20000;
    struct pollfd readable = { .fd = fd, .events = POLLIN };
    char text[512] = "";
    size_t len = 0;
    int port = 0;

    while (port == 0 && len < sizeof(text) - 1) {
        const char *line;
        ssize_t got;

        assert_int_equal(poll(&readable, 1, clock_left_ms(deadline_mono_ms)),
                         1);
        got = read(fd, text + len, sizeof(text) - 1 - len);
        assert_true(got > 0);
        len += (size_t)got;
        text[len] = '\0';
        line = strstr(text, "ACCEPT 127.0.0.1:");
        if (line != NULL && strchr(line, '\n') != NULL)
            port = (int)strtol(line + 17, NULL, 10);
    }
    return port;
}

static struct peer
start_peer(const char *name)
{
    const pid_t parent = getpid();
    struct peer peer;
    char cert[64], key[64];
    int output[2];

    snprintf(cert, sizeof(cert), "%s.pem", name);
    snprintf(key, sizeof(key), "%s.key", name);
    assert_int_equal(pipe(output), 0);
    peer.pid = fork();
    assert_true(peer.pid >= 0);
    if (peer.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() == parent && chdir(folder) == 0 &&
            dup2(output[1], 1) == 1 &&
            freopen("/dev/null", "w", stderr) != NULL)
            execlp("openssl", "openssl", "s_server", "-accept", "127.0.0.1:0",
                   "-cert", cert, "-key", key, "-www", (char *)NULL);
        _exit(127);
    }
    close(output[1]);
    peer.port = read_port(output[0]);
    close(output[0]);
    return peer;
}

static void
stop_peer(const struct peer *peer)
{
    kill(peer->pid, SIGKILL);
    waitpid(peer->pid, NULL, 0);
}

struct page {
    char text[16384];
    size_t len;
};

static enum http_sink_status
sink(void *arg, const char *bytes, size_t len)
{
    struct page *page = arg;

    assert_true(len < sizeof(page->text) - page->len);
    memcpy(page->text + page->len, bytes, len);
    page->len += len;
    page->text[page->len] = '\0';
    return HTTP_SINK_FIRST;
}

static enum http_outcome
fetch(struct http *http, const struct peer *peer, struct page *page)
{
    char url[64];
    const struct http_request request = {
        .url = url,
        .sink = sink,
        .arg = page,
        .deadline_mono_ms = clock_mono_ms() + 20000,
    };
    struct http_call *call;
    enum http_outcome outcome;

    snprintf(url, sizeof(url), "https://127.0.0.1:%d/", peer->port);
    page->len = 0;
    call = http_start(http, &request, NULL);
    assert_non_null(call);
    while (!http_call_is_done(call))
        assert_int_equal(http_turn(http, NULL, 0, INT64_MAX, NULL), 0);
    outcome = http_call_result(call).outcome;
    http_call_free(call);
    return outcome;
}

static struct http *
new_http(void)
{
    const struct http_limits limits = { 2, sizeof(((struct page *)0)->text),
                                        false };
    struct http *http;

    assert_int_equal(http_global_init(NULL), 0);
    http = http_new(&limits, NULL);
    assert_non_null(http);
    return http;
}

static void
assert_https(const char *trusted, const char *server_name,
             enum http_outcome outcome)
{
    static struct page page;
    struct peer peer;
    struct http *http;

    trust(trusted);
    peer = start_peer(server_name);
    http = new_http();
    assert_int_equal(fetch(http, &peer, &page), outcome);
    assert_int_equal(page.len > 0, outcome == HTTP_DONE);
    http_free(http);
    http_global_cleanup();
    stop_peer(&peer);
}

static void
test_a_trusted_server_is_spoken_to(void **state)
{
    (void)state;
    assert_https("right.pem", "right", HTTP_DONE);
}

static void
test_an_unknown_authority_is_refused(void **state)
{
    (void)state;
    assert_https("wrong.pem", "right", HTTP_TLS_FAILED);
}

static void
test_a_trusted_certificate_for_another_name_is_refused(void **state)
{
    (void)state;
    assert_https("wrong.pem", "wrong", HTTP_TLS_FAILED);
}

/* The page of openssl's server tells whether the session was resumed. */
static void
test_the_second_connection_resumes_the_tls_session(void **state)
{
    static struct page page;
    struct peer peer;
    struct http *http;

    (void)state;
    trust("right.pem");
    peer = start_peer("right");
    http = new_http();
    assert_int_equal(fetch(http, &peer, &page), HTTP_DONE);
    assert_non_null(strstr(page.text, "New, TLSv1.3"));
    assert_int_equal(fetch(http, &peer, &page), HTTP_DONE);
    assert_non_null(strstr(page.text, "Reused, TLSv1.3"));
    http_free(http);
    http_global_cleanup();
    stop_peer(&peer);
}

/* ---- the certificates --------------------------------------------------- */

static bool
shell(const char *command)
{
    char line[1024];

    snprintf(line, sizeof(line), "cd %s && { %s; } >/dev/null 2>&1", folder,
             command);
    return system(line) == 0;
}

static bool
make_certificate(const char *name, const char *for_whom)
{
    char command[512];

    snprintf(command, sizeof(command),
             "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256"
             " -nodes -days 2 -subj /CN=%s -addext subjectAltName=%s"
             " -keyout %s.key -out %s.pem",
             name, for_whom, name, name);
    return shell(command);
}

static int
begin_group(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    return mkdtemp(folder) != NULL &&
                   make_certificate("right", "IP:127.0.0.1") &&
                   make_certificate("wrong", "DNS:other.example") &&
                   shell("cat right.pem wrong.pem >both.pem")
               ? 0
               : -1;
}

static int
end_group(void **state)
{
    (void)state;
    return shell("rm -rf \"$PWD\"") ? 0 : -1;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_contexts_get_the_one_store),
        cmocka_unit_test(test_without_a_store_nothing_is_attached),
        cmocka_unit_test(test_a_file_without_certificates_stops_the_start),
        cmocka_unit_test(test_loading_again_replaces_the_store),
        cmocka_unit_test(test_a_trusted_server_is_spoken_to),
        cmocka_unit_test(test_an_unknown_authority_is_refused),
        cmocka_unit_test(
            test_a_trusted_certificate_for_another_name_is_refused),
        cmocka_unit_test(test_the_second_connection_resumes_the_tls_session),
    };

    return cmocka_run_group_tests(tests, begin_group, end_group);
}
