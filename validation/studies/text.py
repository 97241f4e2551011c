"""Text that ships with Python, as bytes: prose (the language reference that `help()` prints) and code (the standard
library's own modules). No network.

B sequences, S tokens of each.
"""

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from pydoc_data.topics import topics
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hw_profiles.faults import Fault, InputFaults

DOMAINS = ("prose", "code")
VOCABULARY = 256
CLASSES = ("letter", "digit", "space", "punctuation")
_HELD_OUT_SHARE = 0.1
_TRAINING, _HELD_OUT = 0, 1

Mix = Literal["mixed", "grouped"]
Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """One domain: bytes to train on and the last tenth, held out."""

    train: Bytes
    held_out: Bytes


@dataclass(frozen=True, kw_only=True)
class Batch:
    """`ids_BS` bytes with the one that follows the last (S + 1 columns); `domain_B` index into DOMAINS."""

    ids_BS: NDArray[np.int64]
    domain_B: NDArray[np.int64]


@lru_cache(maxsize=1)
def corpora() -> Mapping[str, Corpus]:
    """Return both domains, cut to one size; InputFaults where this Python comes without its sources."""
    prose = "\n".join(topics[name] for name in sorted(topics)).encode()
    files = sorted(Path(os.__file__).parent.glob("*.py"))
    code = b"\n".join(path.read_bytes() for path in files)
    size = min(len(prose), len(code))
    if size < 100_000:
        got = f"{len(prose):,} bytes of prose and {len(code):,} of code in this Python's library"
        raise InputFaults([Fault(field="text", got=got, allowed="100,000 or more of each",
                                 remedy="use a Python that ships its sources")])  # fmt: skip
    split = int(size * (1.0 - _HELD_OUT_SHARE))
    wholes = (np.frombuffer(text[:size], dtype=np.uint8) for text in (prose, code))
    return {
        name: Corpus(train=whole[:split], held_out=whole[split:]) for name, whole in zip(DOMAINS, wholes, strict=True)
    }


def fingerprint() -> int:
    """Return a checksum of the text: another Python has another one, and another curve."""
    total = 0
    for corpus in corpora().values():
        total = zlib.crc32(corpus.held_out.tobytes(), zlib.crc32(corpus.train.tobytes(), total))
    return total


def training_batch(mix: Mix, n_sequences: int, n_tokens: int, seed: int, step: int) -> Batch:
    """Return batch number `step`, the same whenever it is asked for: `mixed` draws the domain of each sequence,
    `grouped` one for the whole batch."""
    return _drawn(mix, n_sequences, n_tokens, np.random.default_rng([seed, step, _TRAINING]), held_out=False)


def held_out_batch(mix: Mix, n_sequences: int, n_tokens: int, number: int) -> Batch:
    """Return held-out batch `number`, the same for every seed of training."""
    return _drawn(mix, n_sequences, n_tokens, np.random.default_rng([number, _HELD_OUT]), held_out=True)


def _drawn(mix: Mix, n_sequences: int, n_tokens: int, rng: np.random.Generator, *, held_out: bool) -> Batch:
    domain_B = rng.integers(len(DOMAINS), size=n_sequences)
    if mix == "grouped":
        domain_B[:] = domain_B[0]
    texts = [corpus.held_out if held_out else corpus.train for corpus in corpora().values()]
    rows = []
    for domain in domain_B:
        start = int(rng.integers(len(texts[domain]) - n_tokens))
        rows.append(texts[domain][start : start + n_tokens + 1])
    return Batch(ids_BS=np.stack(rows).astype(np.int64), domain_B=domain_B)


def byte_classes() -> NDArray[np.int64]:
    """Return the index into CLASSES of every byte (256,); what is not ASCII counts as a letter."""
    kinds = [chr(byte) for byte in range(VOCABULARY)]
    return np.array([_class_of(letter) for letter in kinds], dtype=np.int64)


def _class_of(letter: str) -> int:
    if letter.isspace():
        return CLASSES.index("space")
    if letter.isdigit():
        return CLASSES.index("digit")
    return CLASSES.index("letter" if letter.isalpha() or not letter.isascii() else "punctuation")
