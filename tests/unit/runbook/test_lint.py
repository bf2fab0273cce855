"""Does lint find everything wrong at once, with the exact line and words?"""

from __future__ import annotations

from pathlib import Path

import pytest

from sre.cli.main import COMMANDS
from sre.core.errors import UsageError
from sre.runbook.library import answering, documents, find, locate
from sre.runbook.lint import errors, lint, lint_all
from sre.runbook.parse import parse
from sre.runbook.start import syntax_findings
from tests.conftest import Golden
from tests.unit.runbook.kit import book, write

CORPUS = Path(__file__).parent / "corpus"
RUNBOOKS = Path(__file__).parents[3] / "runbooks"
KNOWN = frozenset({"probe run", "probe serve", "backup list", "check"})


def text_of(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*.md")), ids=lambda path: path.stem)
def test_everything_wrong_is_found_at_once(path: Path, golden: Golden) -> None:
    document = parse(path)
    found = sorted({*lint(document, KNOWN, text_of), *syntax_findings(document)})
    lines = "".join(f"{finding}\n".replace(f"{CORPUS}/", "") for finding in found)
    golden(Path("corpus") / f"{path.stem}.golden", lines)


def test_no_finding_repeats_the_secret() -> None:
    found = lint(parse(CORPUS / "headings.md"))
    assert not any(
        word in str(each) for each in found for word in ("hunter2", "QQQQ", "AKIA", "u:pw")
    )


def test_the_same_id_twice(tmp_path: Path) -> None:
    text = book("### 1. One\nThink.\n")
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text(text)
    found = errors(lint_all(documents([tmp_path])))
    assert [str(each) for each in found] == [
        f"{tmp_path}/b.md:2: error id: the id 'small' is taken by {tmp_path}/a.md; rename one"
    ]
    with pytest.raises(UsageError, match="have the same id"):
        find([tmp_path])


def test_our_runbooks_are_without_fault() -> None:
    known = documents([RUNBOOKS])
    assert "runbook" not in COMMANDS or lint_all(known, None, text_of) == ()
    assert [finding for document in known for finding in syntax_findings(document)] == []


def test_the_library_says_which_alerts_are_answered() -> None:
    found = find([RUNBOOKS])
    assert set(found) >= {"checkout-failing", "checkout-slow", "restore-order-database"}
    alerts = answering(found.values())
    assert alerts["checkout-fast"] == ("checkout-slow",)
    assert alerts["checkout-available"] == ("checkout-failing", "restore-order-database")
    assert locate("checkout-slow", [RUNBOOKS]) == RUNBOOKS / "checkout-slow.md"
    with pytest.raises(UsageError, match=r"there is no runbook 'nope'.*ids: checkout-failing, "):
        locate("nope", [RUNBOOKS])
    with pytest.raises(UsageError, match="no such file or folder"):
        find([RUNBOOKS / "nope"])


def test_broken_files_do_not_hide_good_ones(tmp_path: Path) -> None:
    write(tmp_path, book("### 1. One\nThink.\n"))
    (tmp_path / "broken.md").write_text("# nothing\n")
    (tmp_path / "README.md").write_text("# about\n")
    (tmp_path / ".sre").mkdir()
    (tmp_path / ".sre" / "copy.md").write_text(book("### 1. One\nThink.\n"))
    assert set(find([tmp_path])) == {"small"}
    assert len(documents([tmp_path])) == 2


def test_a_file_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "x.md").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="not UTF-8 text"):
        documents([tmp_path])
