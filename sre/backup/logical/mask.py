"""How does personal data stay behind when a copy leaves production?

Masked tables are written anew between their data and their indexes, in the transaction that loads
them: nobody ever sees the originals, triggers do not fire, and the files that held them go.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from sre.backup.logical.quoting import literal, qualified
from sre.core.errors import UsageError

__all__ = ["MaskRule", "mask_sql"]

_BLOCK = """do $sre_mask$
declare
  rules constant jsonb := {rules};
  target constant regclass := {table}::regclass;
  partitioned constant boolean := (select relkind = 'p' from pg_class where oid = target);
  item record; names text; givens text := ''; alien text;
begin
  select key into alien from jsonb_each_text(rules) where not exists (select from pg_attribute
    where attrelid = target and attname = key and attnum > 0 and not attisdropped
    and attgenerated = '');
  if alien is not null then
    raise exception 'mask: % has no column % that can be written', target, quote_ident(alien);
  end if;
  select string_agg(quote_ident(attname), ', ' order by attnum) into names from pg_attribute
    where attrelid = target and attnum > 0 and not attisdropped and attgenerated = '';
  for item in select a.attname, format_type(atttypid, atttypmod) as type, r.value,
      typcategory from pg_attribute a join pg_type t on t.oid = atttypid
      left join jsonb_each_text(rules) r on r.key = a.attname
      where attrelid = target and attnum > 0 and not attisdropped and attgenerated = ''
      order by attnum loop
    if item.value = 'hash' and item.typcategory <> 'S' then
      raise exception 'mask: %.% is of type %; hash is for text, write an expression',
        target, quote_ident(item.attname), item.type;
    end if;
    givens := givens || case when givens = '' then '' else ', ' end || case
      when item.value is null and rules ? item.attname then format('null::%s', item.type)
      when item.value is null then quote_ident(item.attname)
      when item.value = 'hash' then format('case when %1$I is null then null else encode('
        'sha256(convert_to({salt} || %1$I::text, ''UTF8'')), ''hex'') end::%2$s',
        item.attname, item.type)
      else format(E'(%s\\n)::%s', item.value, item.type) end;
  end loop;
  execute format('create temp table {temp} on commit drop as select %s from %s%s', givens,
    case when partitioned then '' else 'only ' end, target);
  execute format('truncate table %s%s', case when partitioned then '' else 'only ' end, target);
  execute format('insert into %s (%s) overriding system value select * from {temp}', target, names);
  drop table pg_temp.{temp};
end
$sre_mask$;
"""


@dataclass(frozen=True)
class MaskRule:
    """What becomes of one column: `{table: customers, column: email, to: hash}`.

    Attributes:
        table: its name, as `--table` takes it.
        column: its name, exactly.
        to: `hash` (of the value and of a salt that nobody keeps: equal values stay equal), `null`,
            or an SQL expression over the columns of the row.
    """

    __pydantic_config__: ClassVar = {"extra": "forbid"}
    table: str
    column: str
    to: str | None

    def __post_init__(self) -> None:
        if not self.table.strip() or not self.column or not (self.to is None or self.to.strip()):
            raise ValueError("a mask needs a table, a column, and what the column becomes (to)")
        if self.to is not None and "$sre_mask$" in self.to:
            raise ValueError("an expression cannot hold '$sre_mask$'")


def mask_sql(
    rules: Sequence[MaskRule], tables: Mapping[str, Mapping[str, Any]], loaded: Iterable[int]
) -> list[tuple[str, str]]:
    """For each masked table that is loaded: its name and what masks it.

    `tables` says which table each rule's name means, `loaded` the oids that are loaded. (pure but
    for the salt, which is new each time)

    Raises:
        UsageError: a rule means something that has no rows of its own, or two mean one column.
    """
    salt, oids = literal(secrets.token_hex(16)), set(loaded)
    columns: dict[int, dict[str, str | None]] = {}
    by_oid = {int(each["oid"]): each for each in tables.values()}
    for rule in rules:
        table = tables[rule.table]
        if table["kind"] not in ("r", "p"):
            raise UsageError(f"mask: {rule.table} is no table; mask the table behind it")
        given = columns.setdefault(int(table["oid"]), {})
        if rule.column in given:
            raise UsageError(f"mask: two rules for {rule.table}, column {rule.column}")
        given[rule.column] = None if rule.to in (None, "null", "NULL") else rule.to
    found = []
    for oid, given in columns.items():
        if oid in oids:
            name = qualified(by_oid[oid]["schema"], by_oid[oid]["name"])
            sql = (
                _BLOCK.replace("{rules}", f"{literal(json.dumps(given))}::jsonb")
                .replace("{table}", literal(name))
                .replace("{salt}", salt.replace("'", "''"))
                .replace("{temp}", f"sre_mask_{oid}")
            )
            found.append((name, sql))
    return found
