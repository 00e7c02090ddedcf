from __future__ import annotations

import subprocess
import sys
from datetime import date

import pydantic
import pytest

from longreach.wire.schema.hooks import decode_hook, encode_hook, is_pydantic


class Stay(pydantic.BaseModel, strict=True):
    first: date = pydantic.Field(alias="from")


def test_what_is_a_model():
    assert is_pydantic(Stay)
    assert not is_pydantic(Stay.model_validate({"from": date(2026, 1, 2)}))
    assert not is_pydantic(dict)


def test_a_strict_model_reads_json_and_is_written_by_its_aliases():
    stay = decode_hook(Stay, {"from": "2026-01-02"})
    assert stay.first == date(2026, 1, 2)
    assert encode_hook(stay) == {"from": "2026-01-02"}


def test_what_does_not_fit_is_told_without_urls_and_inputs():
    with pytest.raises(ValueError, match=r"^from: Input should be a valid date") as caught:
        decode_hook(Stay, {"from": 7})
    assert "http" not in str(caught.value)


def test_other_types_have_no_json_form():
    with pytest.raises(TypeError, match="a object has no JSON form"):
        encode_hook(object())
    with pytest.raises(TypeError, match="complex has no JSON form"):
        decode_hook(complex, 1)


def test_pydantic_is_not_imported():
    code = "import sys, longreach.wire.schema as s; sys.exit('pydantic' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0
    )
