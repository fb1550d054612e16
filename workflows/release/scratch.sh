#!/bin/sh
# Makes a small repository to try the release on: sh scratch.sh FOLDER
# It is a Python package with tests, released once as v1.3.0, with some work done since.
set -eu
mkdir -p "$1" && cd "$1"
git init -q -b main .
git config user.name "Tideline Release" && git config user.email release@tideline.example

commit() { git add -A && git commit -q -m "$1"; }

mkdir -p tideline tests
echo '1.3.0' > VERSION
printf 'dist/\n__pycache__/\n' > .gitignore
cat > tideline/__init__.py <<'PY'
"""Heights of the tide."""


def height(hours, high=4.0, low=1.0):
    """The water's height in metres, so many hours after high water; twelve hours from high to high."""
    hours = hours % 12
    share = hours / 6 if hours <= 6 else (12 - hours) / 6
    return high - (high - low) * share
PY
: > tests/__init__.py
cat > tests/test_height.py <<'PY'
import unittest

from tideline import height


class Height(unittest.TestCase):
    def test_high_and_low_water(self):
        self.assertEqual(height(0), 4.0)
        self.assertEqual(height(6), 1.0)

    def test_the_water_rises_again(self):
        self.assertEqual(height(9), 2.5)
PY
printf '# Changelog\n\n## 1.3.0\n\n- Heights between high and low water\n' > CHANGELOG.md
commit 'feat: heights between high and low water'
git tag -a v1.3.0 -m 'tideline 1.3.0'

cat >> tideline/__init__.py <<'PY'


def is_rising(hours):
    """Whether the water rises, so many hours after high water."""
    return hours % 12 > 6
PY
commit 'feat: tell whether the water rises'
sed -i.bak 's/"""Heights of the tide."""/"""Heights of the tide, in metres."""/' tideline/__init__.py && rm tideline/__init__.py.bak
commit 'docs: say which unit heights are in'
cat >> tests/test_height.py <<'PY'

    def test_a_day_later(self):
        self.assertEqual(height(24), height(0))
PY
commit 'fix: heights beyond the first tide'
