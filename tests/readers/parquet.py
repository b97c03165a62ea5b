"""Reads every table of FOLDER as CSV and as Parquet with pandas, polars and DuckDB, and compares types and cells; where
there is a layers_long.csv, it holds the cells of layers.csv."""

import json
import sys
from pathlib import Path

import duckdb
import pandas as pd
import polars as pl
import pyarrow.parquet as pq

POLARS = {"string": pl.String, "integer": pl.Int64, "number": pl.Float64, "boolean": pl.Boolean}
DUCKDB = {"string": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"}


def cells(values):
    return [None if v is None or v != v else v for v in values]


def compare(tool, name, found, right):
    assert len(found) == len(right), f"{tool} {name}: {len(found)} rows, not {len(right)}"
    for i, (a, b) in enumerate(zip(found, right)):
        assert a is b or a == b, f"{tool} {name} row {i}: {a!r} is not {b!r}"


def check(folder, resource):
    csv = str(folder / resource["path"])
    path = csv.removesuffix(".csv") + ".parquet"
    fields = resource["schema"]["fields"]
    names = [field["name"] for field in fields]
    wide = pd.read_csv(csv, float_precision="round_trip", low_memory=False)
    tools = {
        "pandas": (wide, pd.read_parquet(path)),
        "polars": (pl.read_csv(csv, infer_schema_length=None), pl.read_parquet(path)),
        "DuckDB": (duckdb.read_csv(csv, sample_size=-1).pl(), duckdb.read_parquet(path).pl()),
    }
    for tool, (text, typed) in tools.items():
        assert list(text.columns) == list(typed.columns) == names, f"{tool} {typed.columns}"
        for name in names:
            right = cells(text[name].to_list())
            compare(tool, name, cells(typed[name].to_list()), right)
    typed = tools["polars"][1]
    relation = duckdb.read_parquet(path)
    duck = dict(zip(relation.columns, map(str, relation.types)))
    for field in fields:
        name, kind = field["name"], field["type"]
        if kind == "any":
            text = [v for v in tools["polars"][0][name].to_list() if isinstance(v, str)]
            kind = "string" if text or typed[name].is_null().all() else "number"
        assert typed[name].dtype == POLARS[kind] and duck[name] == DUCKDB[kind], f"{name}: {typed[name].dtype}"
    file = pq.ParquetFile(path)
    codecs = {file.metadata.row_group(0).column(i).compression for i in range(len(names))}
    assert codecs == {"ZSTD"}, codecs
    print(resource["path"], len(wide), "rows equal in", file.metadata.num_row_groups, "row groups")
    return wide


def check_long(wide, path):
    long = pd.read_csv(path, float_precision="round_trip", low_memory=False)
    joined = long.quantity + "_" + long.statistic
    long["column"] = joined.where(joined.isin(wide.columns), long.statistic)
    rows = ["network", "step", "layer"]
    statistics = [c for c in wide.columns if c in set(long.column)]
    back = long.pivot(index=rows, columns="column", values="value")
    right = wide.set_index(rows).sort_index()
    left_over = right.columns.difference(statistics)
    assert not any("_mean" in c or "_l2" in c for c in left_over if right[c].notna().any()), left_over
    for name in statistics:
        found, wanted = back[name].reindex(right.index).to_list(), right[name].to_list()
        compare("long", name, cells(map(float, found)), cells(map(float, wanted)))
    assert len(long) == int(right[statistics].notna().sum().sum())
    for key in [c for c in long.columns if c in right.columns]:
        first = long.drop_duplicates(rows).set_index(rows).sort_index()[key]
        compare("long", key, cells(first.to_list()), cells(right[key].reindex(first.index).to_list()))
    print(path.name, len(long), "rows equal")


folder = Path(sys.argv[1])
package = json.loads((folder / "datapackage.json").read_text())
tables = {resource["name"]: check(folder, resource) for resource in package["resources"]}
if (folder / "layers_long.csv").exists():
    check_long(tables["layers"], folder / "layers_long.csv")
