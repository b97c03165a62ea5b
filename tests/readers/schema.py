"""Validates every sweep file of FOLDER/good and FOLDER/bad with FOLDER/schema.json: the good ones pass, the bad ones do
not."""

import json
import sys
import tomllib
from pathlib import Path

from jsonschema import Draft7Validator

folder = Path(sys.argv[1])
schema = json.loads((folder / "schema.json").read_text())
Draft7Validator.check_schema(schema)
validator = Draft7Validator(schema)
count = 0
for path in sorted(folder.glob("*/*.toml")):
    errors = [error.message for error in validator.iter_errors(tomllib.loads(path.read_text()))]
    expected = path.parent.name == "good"
    assert (not errors) == expected, f"{path.parent.name}/{path.name}: {errors[:3]}\n{path.read_text()}"
    count += 1
print(count, "files judged")
