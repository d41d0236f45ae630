/* modelsim - a simulated provider of models, for demos, tests and load. */
#include <signal.h>
#include <stdio.h>

#include "base/err.h"
#include "modelsim/options.h"
#include "modelsim/provider.h"
#include "modelsim/server.h"
#include "sys/fd.h"
#include "sys/sig.h"

#define EXIT_USAGE     2
#define SPARE_FDS      32
#define DEFAULT_MAX    1000
#define MAX_MAX        60000
#define LISTENING_LINE "modelsim listening on http://%s:%u\n"

static size_t
choose_max_connections(void)
{
    const size_t limit = fd_raise_limit();

    if (limit <= SPARE_FDS)
        return DEFAULT_MAX;
    return limit - SPARE_FDS < MAX_MAX ? limit - SPARE_FDS : MAX_MAX;
}

static int
run(struct options *options, struct err *err)
{
    static const int stop_signals[] = { SIGTERM, SIGINT };
    struct provider *provider = provider_new(&options->provider, err);
    struct server *server = NULL;
    int result = -1;

    options->server.max_connections = choose_max_connections();
    if (provider == NULL ||
        sig_open(stop_signals, ARRAY_LEN(stop_signals), err) == -1)
        goto out;
    server = server_new(&options->server, provider, err);
    if (server == NULL)
        goto out;
    printf(LISTENING_LINE, options->server.address, server_port(server));
    if (fflush(stdout) == EOF) {
        err_set_errno(err, ERR_SYSTEM, "standard output");
        goto out;
    }
    result = server_run(server, sig_fd(), err);
out:
    server_free(server);
    provider_free(provider);
    return result;
}

int
main(int argc, char **argv)
{
    struct options options;
    struct err err = { 0 };

    if (options_parse(&options, argc, argv, &err) == -1) {
        fprintf(stderr, "modelsim: %s\nTry modelsim --help.\n", err.text);
        return EXIT_USAGE;
    }
    if (options.wish == OPTIONS_HELP)
        return fputs(options_help, stdout) == EOF;
    if (options.wish == OPTIONS_VERSION)
        return puts("modelsim " TANDEM_VERSION) == EOF;
    if (run(&options, &err) == 0)
        return 0;
    fprintf(stderr, "modelsim: %s\n", err.text);
    return err.kind == ERR_INVALID ? EXIT_USAGE : 1;
}
