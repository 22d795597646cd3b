/* Which way a branch mostly goes: what follows is then laid out in a row. */
#ifndef FFI_LIKELY_H
#define FFI_LIKELY_H

#define FFI_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define FFI_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

#endif
