"""Reads FOLDER/layers.csv and FOLDER/networks.csv with pandas, polars and DuckDB, and compares types and values with
FOLDER/layers.json and FOLDER/networks.json, where floats are given by their bits, or, in the folder of a run, types with
its datapackage.json and values with each other."""

import json
import sys
from pathlib import Path

import duckdb
import numpy as np
import pandas as pd
import polars as pl

POLARS = {"int": pl.Int64, "float": pl.Float64, "bool": pl.Boolean, "word": pl.String}
DUCKDB = {"int": "BIGINT", "float": "DOUBLE", "bool": "BOOLEAN", "word": "VARCHAR"}


def expected_values(column):
    """The values as Python objects, None where empty."""
    if column["kind"] != "float":
        return column["values"]
    bits = np.array([int(v, 16) if v else 0 for v in column["values"]], dtype=np.uint64)
    numbers = bits.view(np.float64).tolist()
    return [n if v else None for n, v in zip(numbers, column["values"])]


def compare(tool, name, found, right):
    assert len(found) == len(right), f"{tool} {name}: {len(found)} rows, not {len(right)}"
    for i, (a, b) in enumerate(zip(found, right)):
        same = a is None if b is None else a == b
        assert same, f"{tool} {name} row {i}: {a!r} is not {b!r}"


def pandas_column(series):
    return [None if pd.isna(v) else v for v in series.tolist()]


def pandas_type(series, kind, missing):
    if kind == "word":
        return not pd.api.types.is_numeric_dtype(series)
    if kind == "bool":
        return missing or series.dtype == np.bool_
    # pandas has no missing integers in its default types.
    return series.dtype == (np.float64 if kind == "float" or missing else np.int64)


def check(folder, table):
    path = str(folder / f"{table}.csv")
    columns = json.loads((folder / f"{table}.json").read_text())
    exact = pd.read_csv(path, float_precision="round_trip")
    plain = pd.read_csv(path)
    polars = pl.read_csv(path, infer_schema_length=None)
    relation = duckdb.read_csv(path)
    duck_types = dict(zip(relation.columns, map(str, relation.types)))
    duck = dict(zip(relation.columns, zip(*relation.fetchall())))
    assert list(exact.columns) == polars.columns == relation.columns
    for column in columns:
        name, kind = column["name"], column["kind"]
        right = expected_values(column)
        missing = None in right
        assert pandas_type(exact[name], kind, missing), f"pandas {name}: {exact[name].dtype}"
        compare("pandas", name, pandas_column(exact[name]), right)
        if kind == "float":
            # Its default parser may be one unit in the last place off.
            a, b = plain[name].to_numpy(), exact[name].to_numpy()
            assert np.allclose(a, b, rtol=4e-16, atol=0, equal_nan=True), f"pandas default {name}"
        assert polars[name].dtype == POLARS[kind], f"polars {name}: {polars[name].dtype}"
        compare("polars", name, polars[name].to_list(), right)
        assert duck_types[name] == DUCKDB[kind], f"DuckDB {name}: {duck_types[name]}"
        compare("DuckDB", name, duck[name], right)
    for tool in ["pandas", "polars", "DuckDB"]:
        print(tool, table, "equal")


def check_package(folder):
    """Without expected values: the types are those of datapackage.json, and the three readers agree."""
    package = json.loads((folder / "datapackage.json").read_text())
    kinds = {"string": "word", "integer": "int", "number": "float", "boolean": "bool"}
    for resource in package["resources"]:
        path = str(folder / resource["path"])
        fields = resource["schema"]["fields"]
        exact = pd.read_csv(path, float_precision="round_trip")
        polars = pl.read_csv(path, infer_schema_length=None)
        relation = duckdb.read_csv(path, sample_size=-1)
        duck = dict(zip(relation.columns, zip(*relation.fetchall())))
        duck_types = dict(zip(relation.columns, map(str, relation.types)))
        names = [field["name"] for field in fields]
        assert list(exact.columns) == polars.columns == relation.columns == names
        for field in fields:
            name, values = field["name"], polars[field["name"]].to_list()
            compare("pandas", name, pandas_column(exact[name]), values)
            compare("DuckDB", name, duck[name], values)
            missing = None in values
            if all(v is None for v in values) or field["type"] == "any":
                continue
            kind = kinds[field["type"]]
            assert pandas_type(exact[name], kind, missing), f"pandas {name}: {exact[name].dtype}"
            assert polars[name].dtype == POLARS[kind], f"polars {name}: {polars[name].dtype}"
            assert duck_types[name] == DUCKDB[kind], f"DuckDB {name}: {duck_types[name]}"
        print(resource["path"], len(polars), "rows equal")


folder = Path(sys.argv[1])
if (folder / "datapackage.json").exists():
    check_package(folder)
else:
    for table in ["layers", "networks"]:
        check(folder, table)
