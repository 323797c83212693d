"""Writes plugins/segments/python-regex/python-unicode.ts: what Python 3.11 knows of characters (Unicode 14).

Run with Python 3.11: python3.11 scripts/make-python-unicode.py
"""
import _sre
import sys
from pathlib import Path
from re import _casefix

assert sys.version_info[:2] == (3, 11), sys.version
ALL = range(0x110000)
DIGITS = '0123456789abcdefghijklmnopqrstuvwxyz'


def base36(number):
    digits = ''
    while True:
        number, digit = divmod(number, 36)
        digits = DIGITS[digit] + digits
        if number == 0:
            return digits


def steps(numbers):
    """Ascending numbers as the distances between them."""
    before, out = 0, []
    for number in numbers:
        out.append(base36(number - before))
        before = number
    return ' '.join(out)


def edges(holds):
    """Where a property begins and ends, in turn."""
    found, inside = [], False
    for code in ALL:
        if holds(code) != inside:
            found.append(code)
            inside = not inside
    return found + ([len(ALL)] if inside else [])


def mapping(pairs):
    """Runs of characters that map alike: first, count, step, distance (signed)."""
    runs = []
    for code, to in pairs:
        distance = to - code
        if runs:
            first, count, step, same = runs[-1]
            gap = code - (first + (count - 1) * step)
            if same == distance and gap <= 2 and (count == 1 or gap == step):
                runs[-1] = (first, count + 1, gap, same)
                continue
        runs.append((code, 1, 1, distance))
    return ' '.join(f'{first:x},{count:x},{step},{distance}' for first, count, step, distance in runs)


def wrapped(text, width=104):
    """A string of TypeScript over several lines."""
    lines, line = [], ''
    for word in text.split(' '):
        if len(line) + len(word) + 1 > width:
            lines.append(line)
            line = ''
        line += word + ' '
    lines.append(line.rstrip())
    return ' +\n'.join(f"  '{line}'" for line in lines)


lower = [(code, _sre.unicode_tolower(code)) for code in ALL if _sre.unicode_tolower(code) != code]
upper = [(code, ord(chr(code).upper())) for code in ALL if code > 0xFFFF and chr(code).upper() != chr(code)]
others = sorted(_casefix._EXTRA_CASES.items())
tables = {
    'WORD': ('Letters, numbers and `_`: `\\w`, as edges: begins, ends, begins, …', steps(edges(lambda c: chr(c).isalnum() or c == 95))),
    'DIGIT': ('Decimal digits: `\\d`.', steps(edges(lambda c: chr(c).isdecimal()))),
    'SPACE': ('`\\s`.', steps(edges(lambda c: chr(c).isspace()))),
    'CASED': ('What has another case.', steps(edges(lambda c: bool(_sre.unicode_iscased(c))))),
    'LOWER': ('To lower case: first, count, step (all three hexadecimal), distance.', mapping(lower)),
    'UPPER': ('To upper case, beyond the basic plane only.', mapping(upper)),
    'SAME_UPPER': (
        'Lower case characters whose upper case is the same: `s` and `ſ`.',
        ' '.join(','.join(f'{code:x}' for code in (one, *rest)) for one, rest in others),
    ),
}
text = '// Written by scripts/make-python-unicode.py: what Python 3.11 knows of characters (Unicode 14). Do not edit.\n'
for name, (comment, value) in tables.items():
    text += f'\n/** {comment} */\nexport const {name} =\n{wrapped(value)}\n'
path = Path(__file__).parent.parent / 'plugins/segments/python-regex/python-unicode.ts'
path.write_text(text)
print(path, len(text))
