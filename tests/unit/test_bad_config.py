"""Does each bad sre.yaml in tests/config/bad say exactly what is wrong, where, and what to write?

A file begins with one line for each problem that it must produce, in file order:

    # expect: sre.yaml:LINE:COL path: message
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sre.core.errors import ConfigError
from sre.settings import load_settings

CASES = sorted((Path(__file__).parent.parent / "config" / "bad").glob("*.yaml"))


def expected(text: str) -> list[str]:
    mark = "# expect: "
    lines = text.splitlines()
    return [line.removeprefix(mark) for line in lines if line.startswith(mark)]


def test_the_corpus_is_there() -> None:
    assert len(CASES) >= 40


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_each_bad_file_is_told_what_is_wrong_with_it(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = case.read_text(encoding="utf-8")
    (tmp_path / "sre.yaml").write_text(text, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SRE_NOT_SET", raising=False)
    with pytest.raises(ConfigError) as caught:
        load_settings(Path("sre.yaml"))
    assert [str(problem) for problem in caught.value.problems] == expected(text)
