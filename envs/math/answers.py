"""Read an answer as an exact number, and compare it with the truth. Nothing is ever evaluated.

Read are integers, decimals, thousands separators, fractions, mixed numbers, percent, currency signs, scientific
notation, scale words, a unit behind the number, LaTeX's `\\boxed` and `\\frac`, and typographic signs. A range, a list,
an expression, two numbers or a sentence is no number. Time and memory are bounded: what is longer is no number either.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["Number", "equals", "matches", "numbers_in", "read_number", "show"]

MAX_CHARS = 120
MAX_DIGITS = 40
MAX_EXPONENT = 40


@dataclass(frozen=True, kw_only=True)
class Number:
    """A number as it was written: `15%` has the value 15 and `percent`."""

    value: Fraction
    percent: bool = False
    unit: str = ""


def read_number(text: str) -> Number | None:
    """Read `text` as one number; None where it is none.

    >>> read_number("−1,234.50 dollars").value
    Fraction(-2469, 2)
    >>> read_number("2 3/4 cups").value
    Fraction(11, 4)
    >>> read_number("3 or 4") is None
    True
    """
    if len(text) > MAX_CHARS:
        return None
    if _PLAIN.fullmatch(text):  # most answers; a tenth of the time of what follows
        return Number(value=Fraction(int(text)))
    text = _POWER.sub(lambda power: f"^{power[0].translate(_POWERS)}", text).translate(_SIGNS)
    text = _LATEX.sub(_unlatex, text).strip().rstrip(".").strip()
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None
    unit = match["unit"] or ""
    words = unit.lower().replace("-", " ").split()
    if len(words) > 4 or not _NO_UNITS.isdisjoint(words):
        return None
    value = _value(match)
    if value is None:
        return None
    if words and words[0] in _SCALES:
        value *= _SCALES[words[0]]
        words = words[1:]
    percent = match["percent"] is not None or words[:1] in (["percent"], ["pct"])
    return Number(value=value, percent=percent, unit=unit)


def matches(text: str, truth: Fraction, *, unit: str | None = None) -> bool:
    """Return whether `text` is a number equal to `truth`.

    Args:
        text: The answer as the model wrote it.
        truth: The right number.
        unit: The unit that was asked for. Under "%" a percent sign changes nothing; under another unit `15%` is 0.15;
            where nothing is known (None), `15%` may be either. Other units are not compared.

    >>> matches("$1,200.00", Fraction(1200)), matches("15%", Fraction(3, 20), unit="km")
    (True, True)
    """
    number = read_number(text)
    return number is not None and equals(number, truth, unit=unit)


def equals(number: Number, truth: Fraction, *, unit: str | None = None) -> bool:
    """Return whether a number that was read equals `truth`; see `matches`."""
    if number.percent and unit != "%" and number.value / 100 == truth:
        return True
    return number.value == truth and (not number.percent or unit in ("%", None))


def numbers_in(text: str) -> list[Fraction]:
    """Return the numbers that stand in a text, a fraction as its value and as its two parts."""
    found: list[Fraction] = []
    for match in _GIVEN.finditer(text):
        whole, numerator, denominator = match["decimal"], match["numerator"], match["denominator"]
        if whole is not None:
            plain = whole.replace(",", "")
            found.append(Fraction(int(plain) if plain.isdecimal() else plain))
        else:
            found.extend((Fraction(int(numerator)), Fraction(int(denominator))))
            if int(denominator):
                found.append(Fraction(int(numerator), int(denominator)))
    return found


def show(value: Fraction | int) -> str:
    """Write a number as a person would: `42`, `3.75`, `2/3`.

    >>> [show(Fraction(42)), show(Fraction(15, 4)), show(Fraction(2, 3)), show(Fraction(-1, 20))]
    ['42', '3.75', '2/3', '-0.05']
    """
    if value.denominator == 1:
        return str(value.numerator)
    for places in range(1, 5):
        scaled = value * 10**places
        if scaled.denominator == 1:
            digits = f"{abs(scaled.numerator):0{places + 1}d}"
            head, tail = digits[: len(digits) - places], digits[len(digits) - places :]
            return f"{'-' if value < 0 else ''}{head}.{tail}"
    return f"{value.numerator}/{value.denominator}"


def _value(match: re.Match[str]) -> Fraction | None:
    """Return the exact value of a match of `_NUMBER`, or None where it is too large or divides by zero."""
    sign = -1 if "-" in (match["sign"], match["sign_2"]) else 1
    if match["denominator"] is not None:
        if int(match["denominator"]) == 0:
            return None
        whole = int(match["whole"] or 0)
        return sign * (whole + Fraction(int(match["numerator"]), int(match["denominator"])))
    exponent = int(match["exponent"] or 0)
    digits = re.sub(r"[,_'\u2009]", "", match["decimal"])
    if len(digits) > MAX_DIGITS or abs(exponent) > MAX_EXPONENT:
        return None
    return sign * Fraction(digits) * Fraction(10) ** exponent


def _unlatex(match: re.Match[str]) -> str:
    if match["top"] is not None:
        return f" {match['top']}/{match['bottom']}"
    return match["inside"] or match["escaped"] or ""


_MINUS, _SPACES = "\u2212\u2010\u2011\u2012\u2013\u2014\ufe63\uff0d", "\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u3000"
_VULGAR = {"½": "1/2", "⅓": "1/3", "⅔": "2/3", "¼": "1/4", "¾": "3/4", "⅕": "1/5", "⅖": "2/5", "⅗": "3/5", "⅘": "4/5"}
_VULGAR |= {"⅙": "1/6", "⅚": "5/6", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8", "⅐": "1/7", "⅑": "1/9", "⅒": "1/10"}
_SIGNS: dict[int, str] = {
    **{ord(each): "-" for each in _MINUS},
    **{ord(each): " " for each in _SPACES},
    **{ord(each): "\u2009" for each in "\u2006\u2007\u2008\u200a\u202f\u205f"},  # thin spaces between groups of digits
    **{0xFF10 + digit: str(digit) for digit in range(10)},
    **{ord(sign): f" {fraction}" for sign, fraction in _VULGAR.items()},
    **{ord(sign): plain for sign, plain in zip("⁄∕％，．＄×·", "//%,.$**", strict=True)},
}
_POWERS = {ord(power): digit for digit, power in zip("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻", strict=True)}
_POWER = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]++")
_LATEX = re.compile(
    r"\\[dt]?frac\{(?P<top>[0-9]{1,20})\}\{(?P<bottom>[0-9]{1,20})\}"
    r"|\\(?:boxed|text|mathrm)\{(?P<inside>[^{}]{0,60})\}|\\(?P<escaped>[%$,])|\\[()\[\]]|(?<=[0-9}%])\$\Z"
)
_PLAIN = re.compile(r"-?[0-9]{1,18}")
_NUMBER = re.compile(
    r"(?:[A-Za-z] ?= ?)?+"
    r"(?:(?P<sign>[+-]) ?)?+(?:(?:US|A|C)?\$|[£€¥₹]|(?:USD|EUR|GBP|Rs\.?) )?+ ?(?(sign)|(?:(?P<sign_2>[+-]) ?)?)"
    r"(?:(?:(?P<whole>[0-9]{1,20}+) ++(?:and )?)?(?P<numerator>[0-9]{1,20}+) ?/ ?(?P<denominator>[0-9]{1,20}+)"
    r"|(?P<decimal>(?:[0-9]{1,3}(?:[,_'\u2009][0-9]{3})++|[0-9]{1,60}+)(?:\.[0-9]{1,60}+)?+|\.[0-9]{1,60}+)"
    r"(?: ?(?:[eE]|[*x] ?10 ?(?:\^|\*\*) ?)[({]?(?P<exponent>[+-]?[0-9]{1,4}+)[)}]?)?+)"
    r"(?![0-9.,]) ?(?P<percent>%)? ?(?P<unit>[A-Za-z°$£€¥₹µΩ][A-Za-z°$£€¥₹µΩ ./-]{0,40}(?:\^-?[0-9])?)?"
)
_GIVEN = re.compile(
    r"(?P<numerator>[0-9]{1,20})/(?P<denominator>[0-9]{1,20})"
    r"|(?P<decimal>(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]{1,40})(?:\.[0-9]{1,40})?)"
)
_SCALES = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12, "dozen": 12}
# Words that make a second number or a doubt out of what stands behind the number.
_NO_UNITS = frozenset(
    "and or to e not nor but minus plus times over through until between maybe versus vs either else then half quarter "
    "third zero one two three four five six seven eight nine ten eleven twelve twenty thirty forty fifty sixty seventy "
    "eighty ninety".split()
)
