"""Which model a run served: the config.json in its folder, else a model known by its Hugging Face name."""

import tomllib
from pathlib import Path

from hw_profiles.faults import Fault, InputFaults, nearest
from workloads.hf_config import CONFIG_FILE, model_from_config
from workloads.model import ModelSpec

_KNOWN = Path(__file__).parents[1] / "published" / "served_models.toml"
VARIANTS = ("-Instruct", "-Base")  # the same shapes under another name


def served_model(name: str, folder: Path) -> ModelSpec:
    """Return the model; raises InputFaults for a name that is unknown where the folder has no config.json."""
    known = tomllib.loads(_KNOWN.read_text(encoding="utf-8"))
    path = folder / CONFIG_FILE
    config = path if path.is_file() else known.get(name) or known.get(_bare(name))
    if config is None:
        close = nearest(name, list(known))
        raise InputFaults([Fault(field="model", got=repr(name), allowed=", ".join(sorted(known)),
                                 remedy=f"did you mean {close!r}?" if close else
                                 f"put the model's {CONFIG_FILE} into {folder}")])  # fmt: skip
    try:
        return model_from_config(config)
    except InputFaults as error:
        raise InputFaults([Fault(field=str(path), got=str(error), allowed=f"a {CONFIG_FILE} of a known family",
                                 remedy="check the file")]) from None  # fmt: skip


def _bare(name: str) -> str:
    for variant in VARIANTS:
        name = name.removesuffix(variant)
    return name
