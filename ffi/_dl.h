/* Where the dynamic linker found a shared object: each system tells in its own way. */
#ifndef FFI_DL_H
#define FFI_DL_H

#include <Python.h>
#include <dlfcn.h>
#ifdef __APPLE__
#include <mach-o/dyld.h>
#else
#include <link.h>
#endif

/* The file that `handle` stands for, valid while it is open; NULL if the linker does not tell. */
static inline const char *path_of_handle(void *handle)
{
#ifdef __APPLE__
    uint32_t i = _dyld_image_count();
    while (i-- > 0) {
        const char *path = _dyld_get_image_name(i);
        void *other = path == NULL ? NULL : dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
        if (other == NULL)
            continue;
        dlclose(other);
        /* The lowest bits say how it was opened. */
        if ((((uintptr_t)other ^ (uintptr_t)handle) & ~(uintptr_t)3) == 0)
            return path;
    }
    return NULL;
#else
    struct link_map *map;
    if (dlinfo(handle, RTLD_DI_LINKMAP, &map) != 0 || map->l_name[0] == '\0')
        return NULL;
    return map->l_name;
#endif
}

#endif
