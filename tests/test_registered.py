import keras
import pytest

import tfrecs


@pytest.mark.parametrize("folder", ["layers", "losses", "metrics", "models", "optimizers"])
def test_the_registered_name_of_a_class_leads_back_to_it(folder):
    classes = [c for c in vars(getattr(tfrecs, folder)).values() if isinstance(c, type)]
    names = {c: keras.saving.get_registered_name(c) for c in classes}
    registered = {c: name for c, name in names.items() if name.startswith("tfrecs>")}
    assert registered
    for cls, name in registered.items():
        assert keras.saving.get_registered_object(name) is cls, name
