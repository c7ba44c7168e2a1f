"""Checks passwords by bcrypt; loaded only where there are users."""

import secrets
import time
from typing import Final

import bcrypt

_ALPHABET: Final = "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def matches(password: bytes, hashed: bytes) -> bool:
    """Say whether a hash is that of a password; where it is not, rest for as long as it took to find out."""
    started = time.monotonic()
    if bcrypt.checkpw(password, hashed):
        return True
    time.sleep(time.monotonic() - started)
    return False


def hash_of_nobody(cost: bytes) -> bytes:
    """Return a hash that no password has, and whose check takes as long as that of one which does."""
    return bcrypt.gensalt(int(cost)) + "".join(secrets.choice(_ALPHABET) for _ in range(31)).encode()
