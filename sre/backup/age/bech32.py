"""What bytes does an age key stand for, and how is it written? (Bech32, BIP 173, of any length)"""

from __future__ import annotations

__all__ = ["decode", "encode"]

_LETTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_FACTORS = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)
_CHECK = 6


def decode(text: str, prefix: str) -> bytes:
    """The bytes behind `prefix`1…, which may be all upper case. Raises ValueError."""
    if text not in (text.lower(), text.upper()):
        raise ValueError("upper and lower case are mixed")
    name, _, letters = text.lower().rpartition("1")
    if name != prefix:
        raise ValueError(f"it does not begin with {prefix}1")
    digits = [_LETTERS.find(letter) for letter in letters]
    if len(digits) < _CHECK or -1 in digits:
        raise ValueError("it has a letter that does not belong there, or is cut")
    if _checksum(_spread(name) + digits) != 1:
        raise ValueError("a letter of it is wrong")
    return _regrouped(digits[:-_CHECK])


def encode(data: bytes, prefix: str) -> str:
    """`prefix`1 and the letters for these bytes, in lower case."""
    spare = -len(data) * 8 % 5
    number, count = int.from_bytes(data, "big") << spare, (len(data) * 8 + spare) // 5
    digits = [number >> 5 * (count - 1 - at) & 31 for at in range(count)]
    check = _checksum([*_spread(prefix), *digits, *[0] * _CHECK]) ^ 1
    digits += [check >> 5 * (_CHECK - 1 - at) & 31 for at in range(_CHECK)]
    return f"{prefix}1" + "".join(_LETTERS[digit] for digit in digits)


def _spread(name: str) -> list[int]:
    return [ord(each) >> 5 for each in name] + [0] + [ord(each) & 31 for each in name]


def _checksum(values: list[int]) -> int:
    found = 1
    for value in values:
        top = found >> 25
        found = (found & 0x1FFFFFF) << 5 ^ value
        for place, factor in enumerate(_FACTORS):
            found ^= factor if top >> place & 1 else 0
    return found


def _regrouped(digits: list[int]) -> bytes:
    """Five bits each become eight; what is left over must be less than a digit of zeros."""
    number, bits, out = 0, 0, bytearray()
    for digit in digits:
        number, bits = number << 5 | digit, bits + 5
        if bits >= 8:
            bits -= 8
            out.append(number >> bits)
            number &= (1 << bits) - 1
    if bits >= 5 or number:
        raise ValueError("it has a letter too many")
    return bytes(out)
