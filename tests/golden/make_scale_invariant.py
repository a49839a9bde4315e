"""Make scale_invariant.json: what other packages say of the signals in test_scale_invariant.py.

In an environment of its own: pip install fast_bss_eval==0.1.4 torchmetrics torch numpy scipy
"""

import json
from pathlib import Path

import fast_bss_eval
import numpy as np
import torch
from torchmetrics.functional.audio import scale_invariant_signal_distortion_ratio

rng = np.random.default_rng(0)
references = rng.normal(0, 0.1, (3, 1, 8000))
mixing = np.array([[0.8, 0.2, -0.1], [0.05, 1.5, 0.3], [0.4, 0.4, 0.4]])
estimates = np.tensordot(mixing, references, 1) + rng.normal(0, 0.03, references.shape)

sdr, sir, sar = fast_bss_eval.si_bss_eval_sources(references[:, 0], estimates[:, 0], compute_permutation=False)
theirs = scale_invariant_signal_distortion_ratio(torch.from_numpy(estimates[:, 0]), torch.from_numpy(references[:, 0]))
np.testing.assert_allclose(theirs.numpy(), sdr, atol=1e-4)
values = {"si_sdr": sdr.tolist(), "si_sir": sir.tolist(), "si_sar": sar.tolist()}
Path(__file__).with_name("scale_invariant.json").write_text(json.dumps(values, indent=2) + "\n")
