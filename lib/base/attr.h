/*
 * attr - compiler attributes under names that say what they are for.
 */
#ifndef BASE_ATTR_H
#define BASE_ATTR_H

#define ATTR_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))
#define ATTR_MUST_CHECK        __attribute__((warn_unused_result))
#define ATTR_NORETURN          __attribute__((noreturn))

#define ARRAY_LEN(array) (sizeof(array) / sizeof((array)[0]))

#endif
