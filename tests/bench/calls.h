/*
 * calls - two questions to a provider at once: the floor of what libcurl costs.
 *
 *     calls_open(port, on_answer);              once per process
 *     calls_make(question, arg);                on_answer() is called twice
 */
#ifndef BENCH_CALLS_H
#define BENCH_CALLS_H

#include <stdint.h>

/* The answer's text is borrowed; which is 0 or 1. */
typedef void (*calls_on_answer)(void *arg, int which, const char *text);

void calls_open(uint16_t port, calls_on_answer on_answer);
void calls_make(const char *question, void *arg);

#endif
