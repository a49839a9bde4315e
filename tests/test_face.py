"""`import sepnb` is light, and every name on its face leads somewhere."""

import subprocess
import sys

import pytest

import sepnb


@pytest.mark.parametrize("name", sepnb.__all__)
def test_every_name_of_the_face_loads(name):
    assert getattr(sepnb, name) is not None


def test_import_needs_no_torch():
    code = "import sys, sepnb; print([m for m in ('torch', 'numpy', 'matplotlib', 'pandas') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no_such_thing"):
        _ = sepnb.no_such_thing


def test_probe_is_a_function_though_its_module_is_loaded():
    import sepnb.probing

    assert callable(sepnb.probe)
    assert sepnb.probe is sepnb.probing.probe
