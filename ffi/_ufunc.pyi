from typing import final

import numpy as np

def vectorize(
    function: object, /, *more: object, name: str | None = None, doc: str | None = None
) -> np.ufunc: ...

@final
class Table: ...
