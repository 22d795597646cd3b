# Nothing here is for Python: the functions are in capi.pxd, for Cython.
