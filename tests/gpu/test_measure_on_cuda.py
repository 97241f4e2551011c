"""Suites of `longsim measure` on a GPU: copies on SMs and streams beside work. Skipped where there is no GPU."""

import pytest

torch = pytest.importorskip("torch", reason="measuring needs torch")
if not torch.cuda.is_available():
    pytest.skip("no CUDA device", allow_module_level=True)

from validation.measure import command
from validation.measure.case import Sizes
from validation.measure.command import Options, measure
from validation.measure.sm_copy import missing, sm_copy
from validation.measurements import read_measurements, read_meta

CUDA = torch.device("cuda")
SIZES = Sizes(
    tokens=(16,), batches=(4,), contexts=(64,), prompts=(16,), tokens_per_expert=(8,), copy_bytes=(1 << 16, 1 << 20),
    message_bytes=(1 << 16,),
)  # fmt: skip


@pytest.mark.parametrize("suite", ["quick", "overlap", "interference", "emulation"])
def test_every_case_is_measured_or_says_what_it_lacks(tmp_path, monkeypatch, suite):
    monkeypatch.setattr(command, "sizes_of", lambda *_: SIZES)
    options = Options(out=tmp_path, device="cuda", suite=suite, model="tiny", share=1.0, dtype="fp32")
    assert measure(options, lambda _: None) == 0
    assert all(row.median_s > 0 for row in read_measurements(tmp_path))
    assert all("needs triton" in line for line in read_meta(tmp_path)["skipped"])


@pytest.mark.skipif(bool(missing(CUDA)), reason=missing(CUDA))
@pytest.mark.parametrize("n_sms", [1, 5])
def test_the_kernel_on_a_few_sms_copies_every_byte(n_sms):
    source = torch.randint(0, 256, (100_003,), dtype=torch.uint8, device=CUDA)
    target = torch.zeros_like(source)
    sm_copy(source, target, n_sms)()
    assert torch.equal(target, source)
