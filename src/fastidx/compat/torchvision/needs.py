"""The packages that only this part of fastidx needs."""

from __future__ import annotations

try:
    import torch
    import torch.utils.data
    from PIL import Image
except ImportError as error:
    raise ImportError(
        f"fastidx.compat.torchvision needs {error.name}, which is not installed here; "
        'install it with: pip install "fastidx[torch]"'
    ) from error

__all__ = ["Image", "torch"]
