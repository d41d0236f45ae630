/* plan.c - see plan.h. */
#include "bench/plan.h"

#include <getopt.h>
#include <stddef.h>

#include "base/str.h"

#define MAX_CALLERS   8192
#define MAX_MS        600000
#define MAX_RATE      1000000
#define MAX_SIP_BYTES 65536

const char plan_usage[] =
    "usage: load [option ...] PORT PATH\n"
    "\n"
    "  --callers N         connections (1)\n"
    "  --seconds N         ask for so long (5)\n"
    "  --post TEXT         POST this JSON; the answer must be a whole stream\n"
    "  --plain             any answer of status 200 will do\n"
    "  --header LINE       one more line for the request\n"
    "  --rate N            open loop: N questions a second\n"
    "  --ramp-ms N         let callers begin one after the other (0)\n"
    "  --leave-after-ms N  every caller leaves so long after it asked\n"
    "  --sip N             read at most N bytes, ten times a second\n"
    "  --each FILE         one line of times for each answer\n";

static int
take_option(struct plan *plan, int option, const char *value)
{
    switch (option) {
    case 'c':
        return str_to_int(value, 1, MAX_CALLERS, &plan->callers);
    case 's':
        return str_to_int(value, 1, MAX_MS / 1000, &plan->seconds);
    case 'r':
        return str_to_int(value, 1, MAX_RATE, &plan->rate);
    case 'm':
        return str_to_int(value, 1, MAX_MS, &plan->ramp_ms);
    case 'l':
        return str_to_int(value, 1, MAX_MS, &plan->leave_after_ms);
    case 'i':
        return str_to_int(value, 1, MAX_SIP_BYTES, &plan->sip_bytes);
    case 'p':
        plan->post = value;
        return 0;
    case 'a':
        plan->is_plain = true;
        return 0;
    case 'h':
        plan->header = value;
        return 0;
    case 'e':
        plan->each = value;
        return 0;
    default:
        return -1;
    }
}

int
plan_parse(struct plan *plan, int argc, char **argv)
{
    static const struct option options[] = {
        { "callers", required_argument, NULL, 'c' },
        { "seconds", required_argument, NULL, 's' },
        { "rate", required_argument, NULL, 'r' },
        { "ramp-ms", required_argument, NULL, 'm' },
        { "leave-after-ms", required_argument, NULL, 'l' },
        { "sip", required_argument, NULL, 'i' },
        { "post", required_argument, NULL, 'p' },
        { "plain", no_argument, NULL, 'a' },
        { "header", required_argument, NULL, 'h' },
        { "each", required_argument, NULL, 'e' },
        { NULL, 0, NULL, 0 },
    };
    int64_t port;
    int option;

    *plan = (struct plan){ .callers = 1, .seconds = 5 };
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (take_option(plan, option, optarg) == -1)
            return -1;
    if (argc - optind != 2 || str_to_int(argv[optind], 1, 65535, &port) == -1)
        return -1;
    plan->port = (uint16_t)port;
    plan->path = argv[optind + 1];
    return 0;
}
