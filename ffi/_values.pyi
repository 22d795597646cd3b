from typing import final

from ffi._buffers import AddressHolder

@final
class Memory(AddressHolder): ...
