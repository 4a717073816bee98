from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

def limited_luma_to_gray(luma: npt.NDArray[np.uint8], out: npt.NDArray[np.uint8]) -> None: ...
def yuv_to_bgr(
    luma: npt.NDArray[np.uint8],
    cb: npt.NDArray[np.uint8],
    cr: npt.NDArray[np.uint8],
    out: npt.NDArray[np.uint8],
    red: float,
    blue: float,
    limited: bool,
    centered: bool,
    helpers: Sequence[Helper] = (),
    part: int = 32,
) -> None: ...

class Helper:
    def serve(self) -> None: ...
    def wake(self) -> None: ...
    def dismiss(self) -> None: ...

def bgr_to_yuv(
    img: npt.NDArray[np.uint8],
    luma: npt.NDArray[np.uint8],
    cb: npt.NDArray[np.uint8],
    cr: npt.NDArray[np.uint8],
    red: float,
    blue: float,
    limited: bool,
) -> None: ...
