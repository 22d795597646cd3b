"""Compress arrays with zlib, whose header is the whole binding; Python's own zlib checks it.

The length of an input comes from the array. What a function both reads and writes, such as the
length of the output, is an array of one item. The stream is a struct that C keeps pointers in.
"""

import zlib

import numpy as np

import ffi

libz = ffi.dlopen("z")
libz.cdef("""
    #define Z_OK 0
    #define Z_STREAM_END 1
    #define Z_FINISH 4
    typedef unsigned char Bytef;
    typedef unsigned long uLong, uLongf;
    typedef struct z_stream_s {
        const Bytef *next_in;  unsigned avail_in;  uLong total_in;
        Bytef *next_out;       unsigned avail_out; uLong total_out;
        const char *msg;
        struct internal_state *state;
        void *zalloc, *zfree, *opaque;
        int data_type;
        uLong adler, reserved;
    } z_stream;
    const char *zlibVersion(void);
    uLong compressBound(uLong sourceLen);
    int compress2(Bytef *dest, uLongf *destLen, const Bytef source[sourceLen], uLong sourceLen,
                  int level);
    int uncompress(Bytef *dest, uLongf *destLen, const Bytef source[sourceLen], uLong sourceLen);
    uLong crc32(uLong crc, const Bytef buf[len], unsigned len);
    int deflateInit_(z_stream *stream, int level, const char *version, int stream_size);
    int deflate(z_stream *stream, int flush);
    int deflateEnd(z_stream *stream);
""")

data = np.sin(np.linspace(0, 100, 20_000)).round(2)
source = data.view(np.uint8)
assert libz.crc32(0, source) == zlib.crc32(data.tobytes())

# All at once.
length = np.array([libz.compressBound(source.size)], np.dtype("L"))
packed = np.empty(length[0], np.uint8)
assert libz.compress2(packed, length, source, 9) == libz.Z_OK
packed = packed[: length[0]]
assert zlib.decompress(packed.tobytes()) == data.tobytes()
again, length[0] = np.empty_like(data), data.nbytes
assert libz.uncompress(again.view(np.uint8), length, packed) == libz.Z_OK
np.testing.assert_array_equal(again, data)
print(f"compress2: {data.nbytes} bytes became {packed.size}")

# Piece by piece. The stream is zeroed; its pointers keep the arrays that they are given.
stream = ffi.new(libz.types["z_stream"])
size = libz.types["z_stream"].size
assert libz.deflateInit_(stream, 9, libz.zlibVersion(), size) == libz.Z_OK
block, blocks, status = np.empty(1000, np.uint8), [], libz.Z_OK
stream[0].next_in, stream[0].avail_in = source, source.size
while status != libz.Z_STREAM_END:
    stream[0].next_out, stream[0].avail_out = block, block.size
    status = libz.deflate(stream, libz.Z_FINISH)
    assert status in (libz.Z_OK, libz.Z_STREAM_END)
    blocks.append(block[: block.size - stream[0].avail_out].tobytes())
assert libz.deflateEnd(stream) == libz.Z_OK
assert zlib.decompress(b"".join(blocks)) == data.tobytes()
print(f"deflate: {len(blocks)} blocks, {stream[0].total_out} bytes")
