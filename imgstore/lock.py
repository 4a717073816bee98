"""The lock of a store's writer, for programs that change a store's files by themselves: the door to `imgstore.disk.lock`."""

from __future__ import annotations

from imgstore.disk.lock import LockOwner, acquire, is_held, lock_state, read_lock, release

__all__ = ["LockOwner", "acquire", "is_held", "lock_state", "read_lock", "release"]
