from __future__ import annotations

import numpy as np
import numpy.typing as npt

def limited_luma_to_gray(luma: npt.NDArray[np.uint8], out: npt.NDArray[np.uint8]) -> None: ...

class Rows:
    def __init__(self, height: int, part: int) -> None: ...

def yuv_to_bgr(
    luma: npt.NDArray[np.uint8],
    cb: npt.NDArray[np.uint8],
    cr: npt.NDArray[np.uint8],
    out: npt.NDArray[np.uint8],
    red: float,
    blue: float,
    limited: bool,
    centered: bool,
    rows: Rows,
) -> None: ...
def bgr_to_yuv(
    img: npt.NDArray[np.uint8],
    luma: npt.NDArray[np.uint8],
    cb: npt.NDArray[np.uint8],
    cr: npt.NDArray[np.uint8],
    red: float,
    blue: float,
    limited: bool,
) -> None: ...
