"""Does a standby keep its way of logging in when it follows another, and is nothing shown?"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg import conninfo

from sre.core.errors import CheckFailed
from sre.failover.clusters.pg.conninfo import following, frozen, plain, thawed, with_settings

OLD = "user=rep passfile=/x/pass host=old hostaddr=10.0.0.1 port=5 sslmode=require"


def test_only_the_way_changes() -> None:
    made = conninfo.conninfo_to_dict(following(OLD, "new", "6", "b"))
    assert made == {
        "user": "rep", "passfile": "/x/pass", "host": "new", "port": "6", "sslmode": "require",
        "application_name": "b",
    }  # fmt: skip


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1))
def test_odd_passwords_survive(password: str) -> None:
    text = conninfo.make_conninfo("", user="u", password=password, host="h")
    assert conninfo.conninfo_to_dict(following(text, "n", "1", "b"))["password"] == password
    assert conninfo.conninfo_to_dict(thawed(frozen(text))) == conninfo.conninfo_to_dict(text)
    login, env = plain(text)
    assert env == {"PGPASSWORD": password}
    assert "password" not in conninfo.conninfo_to_dict(login)


def test_frozen_leads_nowhere_once() -> None:
    text = frozen("postgresql://u:p@h:1/db?sslmode=require")
    assert conninfo.conninfo_to_dict(text)["host"] == "/sre-frozen"
    assert frozen(text) == text


def test_an_address_that_cannot_be_read_is_not_shown() -> None:
    with pytest.raises(CheckFailed) as caught:
        following("user=u password='hidden", "n", "1", "b")
    assert "hidden" not in str(caught.value)


def test_the_file_of_alter_system() -> None:
    before = "# note\nprimary_conninfo = 'x'\nPrimary_Slot_Name='y'\nwork_mem = '1MB'"
    after = with_settings(before, {"primary_conninfo": "it's \\ so", "primary_slot_name": ""})
    assert after == (
        "# note\nwork_mem = '1MB'\nprimary_conninfo = 'it''s \\\\ so'\nprimary_slot_name = ''\n"
    )
