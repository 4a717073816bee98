"""Reading bits, as the syntax of H.264 has them."""

from __future__ import annotations

__all__ = ["Bits", "unescaped"]

_LONGEST_CODE = 32


class Bits:
    """Reads bits one after the other.

    Every method raises EOFError where there are not as many bits as it takes, or no code.

    Parameters
    ----------
    data : bytes
        Without the bytes that keep start codes from occurring, see `unescaped`.
    """

    def __init__(self, data: bytes) -> None:
        # a string of digits is looked through, and cut, faster than a number in Python
        self._digits = format(int.from_bytes(data, "big"), f"0{8 * len(data)}b") if data else ""
        self._at = 0

    def read(self, count: int) -> int:
        """Read an unsigned number of some bits."""
        digits = self._digits[self._at : self._at + count]
        if len(digits) < count:
            raise EOFError("the bits end early")
        self._at += count
        return int(digits, 2) if count else 0

    def golomb(self) -> int:
        """Read an unsigned number in Exp-Golomb code (ITU-T H.264, 9.1)."""
        one = self._digits.find("1", self._at, self._at + _LONGEST_CODE + 1)
        end = 2 * one - self._at + 1
        digits = self._digits[one:end]
        if one < 0 or len(digits) < end - one:
            raise EOFError("the bits end early, or hold no code")
        self._at = end
        return int(digits, 2) - 1

    def signed_golomb(self) -> int:
        """Read a signed number (9.1.1)."""
        value = self.golomb()
        return (value + 1) // 2 if value % 2 else -(value // 2)


def unescaped(unit: bytes) -> bytes:
    """Take out of a NAL unit the bytes that keep start codes from occurring in it (7.4.1)."""
    return unit.replace(b"\x00\x00\x03", b"\x00\x00")
