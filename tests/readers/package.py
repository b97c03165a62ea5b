"""Validates FOLDER/datapackage.json and its tables with frictionless, and finds a wrong cell and a missing column that are
put into copies of them."""

import shutil
import sys
import tempfile
from pathlib import Path

from frictionless import validate


def check(folder):
    report = validate(str(folder / "datapackage.json"))
    return report.flatten(["name", "rowNumber", "fieldName", "type", "message"])


folder = Path(sys.argv[1])
errors = check(folder)
assert not errors, errors[:5]
for table in ["layers.csv", "networks.csv"]:
    text = (folder / table).read_text()
    with tempfile.TemporaryDirectory() as copy:
        copy = Path(copy)
        for file in [*folder.glob("*.csv"), folder / "datapackage.json"]:
            shutil.copy(file, copy)
        header, row, rest = text.split("\n", 2)
        cells = row.split(",")
        cells[header.split(",").index("replicate")] = "first"
        (copy / table).write_text("\n".join([header, ",".join(cells), rest]))
        assert any(error[3] == "type-error" for error in check(copy)), "a wrong cell stays unnoticed"
        (copy / table).write_text(text.replace("replicate,", "", 1))
        assert check(copy), "a missing column stays unnoticed"
print("valid")
